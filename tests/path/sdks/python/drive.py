"""Drives a Python SDK through its public calls; runs where only the SDKs are.

stdin, JSON lines: first ``{"sdk": MODULE, "host", "key", "options"}``, then one call a
line; its end flushes and closes. stdout: ``{"problems": [...]}``. Dates are
``{"$date": ISO}`` and ``{"$day": ISO}``.
"""

import importlib
import json
import logging
import re
import sys
from datetime import date, datetime

logging.disable(logging.CRITICAL)
PLACES = ("userId", "anonymousId", "previousId", "groupId", "messageId")
SNAKE = {name: re.sub("([A-Z])", r"_\1", name).lower() for name in PLACES}


def revive(value):
    if "$date" in value:
        return datetime.fromisoformat(value["$date"])
    return date.fromisoformat(value["$day"]) if "$day" in value else value


def main():
    answers, sys.stdout = sys.stdout, sys.stderr  # SDKs may print
    begin = json.loads(sys.stdin.readline())
    problems = []
    client = importlib.import_module(begin["sdk"]).Client(
        begin["key"],
        host=begin["host"],
        on_error=lambda error, batch: problems.append(str(error)),
        **begin["options"],
    )
    for line in sys.stdin:
        call = json.loads(line, object_hook=revive)
        method = getattr(client, call.pop("type"))
        method(**{SNAKE.get(name, name): value for name, value in call.items()})
    client.flush()
    client.join()
    print(json.dumps({"problems": problems}), file=answers)


main()
