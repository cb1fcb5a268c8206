"""An HTTP/1.1 client for what is said to destinations: lean, and wary of the answer.

One request on one connection at a time, kept for the next; one timer for all of them.
The bytes of an answer are read by httptools. What a client must not get wrong is said
at ``Connection``; who may be connected to is judged by ``reach``.
"""
