"""What arguments of the command line are: a time, a whole number."""

import argparse
from datetime import UTC, datetime


def rate(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or not int(text):
        message = f"{text!r} is not a whole number above 0"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def time(text: str) -> int:
    """ISO 8601 to unix milliseconds; without an offset it is UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is not an ISO 8601 time such as 2026-01-15T10:12:14Z"
        raise argparse.ArgumentTypeError(message) from None
    at = at.replace(tzinfo=at.tzinfo or UTC)
    return int(at.timestamp() * 1000)


def add_span(parser: argparse.ArgumentParser) -> None:
    """``--from`` and ``--until``, as ``start`` and ``until``: unix milliseconds."""
    about = "received then or later"
    parser.add_argument("--from", dest="start", type=time, metavar="T", help=about)
    about = "received before then"
    parser.add_argument("--until", type=time, metavar="T", help=about)
