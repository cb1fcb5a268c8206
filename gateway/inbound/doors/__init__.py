"""The ways in: each file says how what is sent becomes messages, and who sent it.

What becomes of a message is the same behind all doors (``intake``).
"""
