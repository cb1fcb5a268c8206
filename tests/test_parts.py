"""What a configuration means for the log."""

from types import SimpleNamespace
from typing import Any, cast

from gateway.log.contract import Declared
from gateway.outbound.contract import Order, Traits
from gateway.parts import Parts, declared_of


def kind(order: Order) -> Any:
    return SimpleNamespace(traits=Traits(types=frozenset(), order=order))


def test_a_destination_in_total_order_declares_one_queue_that_is_kept() -> None:
    configured = {"people": kind("total"), "crm": kind("person")}
    parts = Parts(routes=cast("Any", None), plans={}, configured=configured)
    assert declared_of(parts) == {
        "suppressed": Declared(kept="newest"),
        "to.people": Declared(partitions=1, kept="for_ever"),
    }
