"""What ``@replace`` does to a text: JavaScript's ``replace``, the pattern fixed."""

import re
from collections.abc import Callable
from functools import lru_cache

ASCII = 128
PLANE = 0x10000
INSERTS = re.compile(r"\$([$&`'])")
"""What a replacement may insert: a dollar, the match, what is before it or after it."""


def replacer(
    pattern: str, replacement: str, *, ignorecase: bool, everywhere: bool
) -> Callable[[str], str]:
    """What replaces a pattern: the first time that it stands there, or each."""
    if not ignorecase and "$" not in replacement:
        count = -1 if everywhere else 1
        return lambda text: text.replace(pattern, replacement, count)
    spelled = map(_spelled, pattern) if ignorecase else map(re.escape, pattern)
    find = re.compile("".join(spelled))
    insert = _inserting(replacement)
    return lambda text: find.sub(insert, text, count=0 if everywhere else 1)


def _inserting(replacement: str) -> Callable[[re.Match[str]], str]:
    pieces = INSERTS.split(replacement)  # text, letter, text, letter, ... text

    def insert(match: re.Match[str]) -> str:
        whole = match.string
        values = {
            "$": "$",
            "&": match[0],
            "`": whole[: match.start()],
            "'": whole[match.end() :],
        }
        return "".join(
            values[each] if number % 2 else each for number, each in enumerate(pieces)
        )

    return insert


@lru_cache(maxsize=256)
def _spelled(char: str) -> str:
    """The characters that are this one in any case, as a set of a pattern."""
    if char.upper() == char.lower() or ord(char) >= PLANE:
        return re.escape(char)
    if ord(char) < ASCII:
        return f"[{char.lower()}{char.upper()}]"
    wanted = _folded(char)
    same = [each for each in map(chr, range(PLANE)) if _folded(each) == wanted]
    return f"[{''.join(same)}]"


def _folded(char: str) -> str:
    """JavaScript's case folding: the upper case, if it is one character of its kind."""
    upper = char.upper()
    if len(upper) != 1 or (ord(char) >= ASCII and ord(upper) < ASCII):
        return char
    return upper
