"""What arguments of the command line are: a time, a whole number, a file."""

import argparse
import sys
from pathlib import Path

from gateway.errors import ConfigError
from gateway.event import unix_ms

DIGITS_MAX = 9  # a billion: of events a second, of events looked at


def rate(text: str) -> int:
    """A whole number above 0."""
    digits = text.lstrip("0")
    if not (text.isdecimal() and 0 < len(digits) <= DIGITS_MAX and int(text)):
        most = 10**DIGITS_MAX - 1
        message = f"{text[:30]!r} is not a whole number from 1 to {most}"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def time(text: str) -> int:
    """ISO 8601 to unix milliseconds; without an offset it is UTC."""
    try:
        return unix_ms(text)
    except ValueError:
        message = f"{text!r} is not an ISO 8601 time such as 2026-01-15T10:12:14Z"
        raise argparse.ArgumentTypeError(message) from None


def is_file(given: str) -> bool:
    """Whether a ``FILE|MESSAGE_ID`` is a file, a pipe or ``-``: an id otherwise.

    There may be a folder that is named like an id. ConfigError for what is neither.
    """
    path = Path(given)
    try:
        if given == "-" or (path.exists() and not path.is_dir()):
            return True
    except OSError:
        return False  # longer than the name of a file can be
    _check_text("explain", given)
    return False


def content(file: Path) -> bytes:
    """What a file holds, or standard input for ``-``; ConfigError."""
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from error


def add_span(parser: argparse.ArgumentParser) -> None:
    """``--from`` and ``--until``, as ``start`` and ``until``: unix milliseconds."""
    about = "received then or later"
    parser.add_argument("--from", dest="start", type=time, metavar="T", help=about)
    about = "received before then"
    parser.add_argument("--until", type=time, metavar="T", help=about)


def check(given: argparse.Namespace) -> None:
    """Raise ConfigError for a text that is none, or an end before its beginning.

    Names of files may be any bytes: they are paths, or ``FILE|MESSAGE_ID``.
    """
    for name, value in vars(given).items():
        if isinstance(value, str) and name != "file":
            _check_text(name, value)
    start, until = getattr(given, "start", None), getattr(given, "until", None)
    if start is not None and until is not None and until < start:
        raise ConfigError("--until: is before --from, so that nothing lies between")


def _check_text(name: str, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{name}: {value!a} is not UTF-8") from None
