"""What a configuration means for the log."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from gateway.config import parse
from gateway.outbound.contract import Order, Takes
from gateway.parts import Parts, declared_of
from gateway.topics import Declared, one_queue


def configured(order: Order) -> Any:
    return SimpleNamespace(takes=Takes(types=frozenset(), order=order))


def test_a_destination_in_total_order_declares_one_queue_that_is_kept() -> None:
    made = {"people": configured("total"), "crm": configured("person")}
    parts = Parts(rules=cast("Any", None), configured=made)
    config = parse('[sources.web]\nwrite_keys = ["dev"]', folder=Path())
    declared = declared_of(config, parts)
    assert declared("to.people") == one_queue("people")
    assert declared("to.crm") == Declared(holds_unread=True, reader="crm")
