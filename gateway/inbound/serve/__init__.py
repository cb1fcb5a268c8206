"""The public port: a connection, the paths it knows, what the gateway says of itself.

Bytes become requests here, and answers bytes; what a request brings is a door's.
"""
