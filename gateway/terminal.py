"""What a terminal is shown: text, whatever senders wrote into it."""

import io
import re
import sys

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> str:
    r"""A text in which nothing moves the cursor, colours or answers: ``\x1b`` is shown.

    Ids, names and answers are others'; ends of lines and tabs are ours as well.
    """
    return CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def show_everything() -> None:
    """Let stdout show what its encoding lacks as an escape, as stderr does."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
