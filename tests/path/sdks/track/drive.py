"""Drives customerio's Track client through its public calls.

stdin: {"port", "key", "calls": [[method, arguments, keywords], ...]}
stdout: for each call [true, status, text] or [false, what it raised].
"""

import json
import sys
from datetime import datetime

from customerio import CustomerIO, CustomerIOException


def revived(value: object) -> object:
    if isinstance(value, dict):
        return datetime.fromisoformat(value["$date"]) if "$date" in value else value
    return value


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # SDKs may print
    given = json.load(sys.stdin)
    client = CustomerIO(
        "site", given.get("key", "key"), host="127.0.0.1", port=given["port"]
    )
    results: list[object] = []
    for method, arguments, keywords in given["calls"]:
        named = {name: revived(value) for name, value in keywords.items()}
        try:
            answer = getattr(client, method)(*arguments, **named)
        except CustomerIOException as error:
            results.append([False, str(error)])
        else:
            results.append([True, answer.status_code, answer.text])
    print(json.dumps(results), file=answers)


main()
