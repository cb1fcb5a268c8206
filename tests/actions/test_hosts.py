"""Whom an action may ask: what belongs to a host that is known, and nobody else."""

import pytest

from gateway.actions.conversation import allows


@pytest.mark.parametrize("host", ["cdp.shop.example", "tr.cdp.shop.example"])
def test_a_host_below_one_that_is_known_may_be_asked(host: str) -> None:
    assert allows(["cdp.shop.example"], host)


@pytest.mark.parametrize(
    "host", ["tr.cdp.shop.example.evil.example", "xcdp.shop.evil", "example"]
)
def test_what_only_looks_like_it_may_not(host: str) -> None:
    assert not allows(["cdp.shop.example"], host)
