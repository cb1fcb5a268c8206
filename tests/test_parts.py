"""What a configuration means for the log."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.config import parse
from gateway.errors import ConfigError
from gateway.outbound.contract import Order, Takes
from gateway.parts import Parts, check, declared_of
from gateway.topics import Declared, one_queue

SOURCE = '[sources.web]\nwrite_keys = ["dev"]\n'
INBOX = 'settings = { path = "inbox.ndjson" }\n'


def configured(order: Order) -> Any:
    return SimpleNamespace(takes=Takes(types=frozenset(), order=order))


@pytest.mark.parametrize(
    "table", ["actions = [{ types = ['identify'] }]", "oauth.a = 'b'", "env.A = 'b'"]
)
def test_a_table_that_a_type_has_no_use_for_is_refused(table: str) -> None:
    """Who sets a filter must be told that it filters nothing."""
    text = f'{SOURCE}[destinations.b]\ntype = "file"\n{INBOX}{table}\n'
    key = re.split(r"[ .]", table)[0]
    with pytest.raises(ConfigError, match=rf"destinations.b.{key}: this type has none"):
        check(parse(text, folder=Path()))


def test_a_destination_in_total_order_declares_one_queue_that_is_kept() -> None:
    made = {"people": configured("total"), "crm": configured("person")}
    parts = Parts(rules=cast("Any", None), configured=made)
    config = parse('[sources.web]\nwrite_keys = ["dev"]', folder=Path())
    declared = declared_of(config, parts)
    assert declared("to.people") == one_queue("people")
    assert declared("to.crm") == Declared(holds_unread=True, reader="crm")
