"""The mark of a destination: another one when its events come out otherwise."""

from dataclasses import replace

import pytest

from gateway.config import DestinationConfig
from gateway.outbound.mark import mark_of

CRM = DestinationConfig(
    name="crm",
    type="webhook",
    settings={"url": "https://crm.example/hook", "secret": "one"},
)


def test_it_is_short_and_the_same_for_the_same_configuration():
    assert mark_of(CRM) == mark_of(replace(CRM))
    assert len(mark_of(CRM)) == 8


@pytest.mark.parametrize(
    "changed",
    [
        {"when": "!is_email(userId)"},
        {"types": ("identify",)},
        {"spelling": "snake_case"},
        {"settings": {"url": "https://crm.example/other", "secret": "one"}},
        {"actions": ({"mapping": {"a": 1}},)},
    ],
)
def test_what_shapes_an_event_changes_it(changed):
    assert mark_of(replace(CRM, **changed)) != mark_of(CRM)


@pytest.mark.parametrize(
    "changed",
    [
        {"settings": {"url": "https://crm.example/hook", "secret": "two"}},
        {"oauth": {"access_token": "x"}},
        {"env": {"KEY": "x"}},
        {"paused": True},
    ],
)
def test_secrets_and_what_shapes_nothing_do_not(changed):
    assert mark_of(replace(CRM, **changed)) == mark_of(CRM)


def test_the_text_of_a_transform_counts(tmp_path):
    file = tmp_path / "shop.py"
    file.write_text("def clean(event): return event")
    with_it = replace(CRM, transform=tmp_path / "shop.py:clean")
    before = mark_of(with_it)
    file.write_text("def clean(event): return None")
    assert mark_of(with_it) != before
    file.unlink()
    assert mark_of(with_it) not in (before, mark_of(CRM))
