"""What PostgreSQL says otherwise than SQLite: statements, tables, texts. Pure."""

import re
from functools import lru_cache

TOKENS = re.compile(r"(--[^\n]*|'(?:[^']|'')*')|(\?)|\b(offset)\b")
DIALECT = (  # of the tables: SQLite takes any name of a type
    (r"\bINTEGER\b", "bigint"),
    (r"\bBLOB\b", "bytea"),
    (r"\bTEXT\b", 'text COLLATE "C"'),
    (r"\) WITHOUT ROWID", ")"),
    # A routing decision may be longer than a B-tree takes; one process writes.
    (
        r"CREATE UNIQUE INDEX (\w+) ON words \(text\)",
        r"CREATE INDEX \1 ON words USING hash (text)",
    ),
)


@lru_cache(maxsize=500)
def translated(asked: str) -> str:
    """A statement as PostgreSQL has it: ``$1`` for ``?``, a reserved word quoted."""
    count = 0

    def token(match: re.Match[str]) -> str:
        nonlocal count
        kept, mark, _ = match.groups()
        if kept:
            return kept
        if mark:
            count += 1
            return f"${count}"
        return '"offset"'

    return TOKENS.sub(token, asked)


def tables(text: str) -> str:
    """``schema.sql`` as PostgreSQL has it."""
    for pattern, instead in DIALECT:
        text = re.sub(pattern, instead, text)
    return translated(text)


def storable(text: str) -> str:
    """The text without what PostgreSQL has no place for: U+0000, lone surrogates."""
    text = text.replace("\0", "\ufffd")
    if text.isascii():
        return text
    return text.encode(errors="surrogatepass").decode(errors="replace")


def number(text: str) -> int | float:
    """A ``numeric``: what a sum of whole numbers is."""
    return int(text) if text.lstrip("-").isdigit() else float(text)
