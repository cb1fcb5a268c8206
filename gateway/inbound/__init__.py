"""From a POST to the log: accept, (admit:) check, normalize, resolve, route.

Before the 200. Only ``accept`` waits for anything; the stages are pure functions of
values, blind to each other.
"""
