"""From the log to a destination: poll, filter, deliver, settle.

After the 200. A worker serves one destination and shares nothing with the others.
"""
