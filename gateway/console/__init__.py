"""The console: pages about every event, for a person, at a port of its own.

It looks: at the counters of this process, at the log, at the stores of other wings.
What it does beside that is what the command line does, too: a replay.
"""
