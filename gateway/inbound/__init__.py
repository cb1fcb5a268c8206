"""From what is sent to the log, before the 200.

serve    the public port
doors    the ways in: the pipelines, the Track API, files, refused messages
accept   one POST, the only place that waits
intake   one message, judged: the stages are pure, and blind to each other
"""
