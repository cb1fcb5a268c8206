"""How statements and texts are said to PostgreSQL; pure."""

import pytest

from gateway.ledger.contract import SCHEMA
from gateway.ledger.dialect import storable, tables, translated


def test_statements_are_said_its_way():
    asked = (
        "SELECT offset, '? offset' FROM t WHERE a = ? AND e.offset < ? LIMIT 1 OFFSET ?"
    )
    assert translated(asked) == (
        'SELECT "offset", \'? offset\' FROM t WHERE a = $1 AND e."offset" < $2'
        " LIMIT 1 OFFSET $3"
    )


def test_its_tables_have_no_word_that_only_sqlite_knows():
    text = tables(SCHEMA.read_text())
    for word in ("WITHOUT ROWID", "BLOB", "INTEGER", " TEXT"):
        assert word not in text


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("plain", "plain"),
        ("a\0b", "a\ufffdb"),
        ("\ud800", "\ufffd" * 3),
        ("é\0\udfff", "é\ufffd" + "\ufffd" * 3),
    ],
)
def test_what_no_text_may_have_there_is_replaced(text: str, kept: str):
    assert storable(text) == kept
