"""The ledger: what happened to every event at every destination, kept to be asked.

A wing. It follows the log with a small lag and refers to it for the events themselves.
"""
