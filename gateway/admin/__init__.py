"""The admin port, and who asks it: the operator's side of a running gateway.

``port`` answers, ``client`` is what the command line asks it with.
"""
