"""The gateway's questions for agents: a read-only server of the Model Context Protocol.

``protocol`` is what is said on the wire, ``tools`` which questions there are, ``veil``
what of an answer is shown; all three are pure. ``stdio`` and
``door`` are where it is asked.
"""
