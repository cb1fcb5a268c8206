"""A destination type as a value: its settings are read by one reader, and typed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from gateway.errors import ConfigError
from gateway.outbound.contract import Delivered, Takes
from gateway.outbound.http import NoResponse, Request
from gateway.outbound.kind import Context, Kind, Schema, setting
from gateway.outbound.talk import one_request

ROOT = Path(__file__).parents[2]
SECRET = "https://hooks.example/services/T000/B000/SECRETSECRET"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every form a setting may have, in a module whose annotations are texts."""

    url: str = setting(doc="Where", example='"https://a"', secret=True)
    region: Literal["US", "EU"] = setting(doc="Which", example='"EU"', default="US")
    lists: tuple[str, ...] = setting(doc="Lists", example='["a"]', default=())
    note: str | None = setting(doc="A note", example='"x"', default=None)
    size: int | None = setting(
        doc="At most", example='"1MB"', unit="size", default=None
    )
    every: float = setting(doc="How often", example='"1m"', unit="duration", default=60)
    on: bool = setting(doc="Whether", example="true", default=True)
    more: dict[str, str] = setting(  # noqa: RUF009 -- it is a dataclass field
        doc="More", example="{ a = 'b' }", default={}
    )


KIND = Kind(
    doc="For tests.",
    settings=Schema.of(Settings),
    takes=Takes(types=frozenset({"identify"})),
    talk=one_request(lambda deliveries, settings: Request(url=settings.url)),
)


def read(**raw: Any) -> Settings:
    given = {"url": "https://a.example", **raw}
    return KIND.configured(given, name="x", folder=Path("/srv")).settings


def test_every_form_of_a_setting_is_read() -> None:
    settings = read(
        region="EU",
        lists=["a", "b"],
        note="n",
        size="2KB",
        every="90s",
        on=False,
        more={"k": "v"},
    )
    assert settings == Settings(
        url="https://a.example",
        region="EU",
        lists=("a", "b"),
        note="n",
        size=2_000,
        every=90.0,
        on=False,
        more={"k": "v"},
    )
    assert read() == Settings(url="https://a.example")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"region": "eu"}, "region: 'eu' is not one of US, EU"),
        ({"lists": "a"}, "lists: a text is not a list"),
        ({"lists": [1]}, "lists[0]: 1 is not a text"),
        ({"note": 7}, "note: 7 is not a text"),
        ({"size": "big"}, "size: 'big' is not a size"),
        ({"every": "10"}, "every: '10' is not a duration"),
        ({"on": "yes"}, "on: 'yes' is not true or false"),
        ({"more": []}, "more: a list is not a table"),
        ({"nope": 1}, "nope: unknown key; known are: url, region"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(raw: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(**raw)
    assert str(caught.value).startswith(f"destinations.x.settings.{words}")


@pytest.mark.parametrize("value", [[SECRET], {"url": SECRET}, 7_777_777, True])
def test_no_error_shows_a_secret(value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        read(url=value)
    said = str(caught.value)
    assert "destinations.x.settings.url" in said
    assert "SECRETSECRET" not in said
    assert "7777777" not in said


def test_a_missing_setting_comes_with_its_example() -> None:
    with pytest.raises(
        ConfigError, match='url: missing; for example url = "https://a"'
    ):
        KIND.configured({}, name="x", folder=Path())


def test_settings_are_shown_with_their_defaults() -> None:
    shown = {each.name: each for each in KIND.settings.settings}
    assert shown["url"].default is None  # it must be given
    assert shown["url"].secret
    assert shown["region"].default == "US"
    assert not shown["region"].secret


def test_a_type_that_can_do_nothing_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="needs one of talk, opened"):
        Kind(
            doc="",
            settings=Schema.of(Settings),
            takes=Takes(types=frozenset()),
        )


class Remote:
    takes = Takes(types=frozenset({"identify"}))

    async def deliver(self, deliveries: Any) -> Any:
        return [Delivered()] * len(deliveries)

    async def close(self) -> None: ...


async def nobody(request: Request) -> NoResponse:
    return NoResponse(request.url)


def test_what_is_no_http_is_opened_with_its_context() -> None:
    given: list[Context] = []

    def opened(settings: Settings, context: Context) -> Remote:
        given.append(context)
        return Remote()

    kind = Kind(
        doc="Own.",
        settings=Schema.of(Settings),
        takes=Remote.takes,
        opened=opened,
    )
    made = kind.configured({"url": "u"}, name="own", folder=Path("/srv"))
    assert isinstance(made.open(nobody), Remote)
    assert given == [Context("own", Path("/srv"), nobody)]
    assert made.preview(None) == {}  # type: ignore[arg-type]  # it shows nothing


WRONG = """
from collections.abc import Sequence
from dataclasses import dataclass
from gateway.outbound.contract import Delivery, Takes
from gateway.outbound.http import Request
from gateway.outbound.kind import Kind, Schema
from gateway.outbound.talk import Access, Talk, one_request

@dataclass(frozen=True)
class Settings:
    url: str

def right(deliveries: Sequence[Delivery], settings: Settings) -> Request:
    return Request(url=settings.url)

def wrong_settings(deliveries: Sequence[Delivery], settings: int) -> Request:
    return Request(url=str(settings))

def no_talk(deliveries: Sequence[Delivery], settings: Settings) -> str:
    return settings.url

def wrong_verdict(
    deliveries: Sequence[Delivery], settings: Settings, access: Access
) -> Talk:
    yield Request(url="")
    return "delivered"

TYPES = Takes(types=frozenset({"identify"}))
SETTINGS = Schema.of(Settings)
"""
LINES = {
    "Kind(doc='', settings=SETTINGS, takes=TYPES, talk=one_request(right))": "",
    "Kind(doc='', settings=SETTINGS, takes=TYPES, talk=one_request(wrong_settings))": (
        "arg-type"
    ),
    "Kind(doc='', settings=SETTINGS, takes=TYPES, talk=no_talk)": "arg-type",
    "Kind(doc='', settings=SETTINGS, takes=TYPES, talks=right)": "call-arg",
    "Kind(settings=SETTINGS, takes=TYPES, talk=one_request(right))": "call-arg",
}


@pytest.mark.service  # a type checker takes its time
def test_a_type_whose_parts_do_not_fit_is_a_type_error(tmp_path: Path) -> None:
    made = tmp_path / "mine.py"
    made.write_text(WRONG + "\n".join(LINES) + "\n")
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml"]
    done = subprocess.run(
        [*command, str(made)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    found = [line for line in done.stdout.splitlines() if "mine.py:" in line]
    first = WRONG.count("\n") + 1
    for number, (line, code) in enumerate(LINES.items(), first):
        said = [each for each in found if f"mine.py:{number}: error" in each]
        assert bool(said) is bool(code), (line, said)
        assert all(code in each for each in said), (line, said)
    returned = WRONG[: WRONG.index('return "delivered"')].count("\n") + 1
    assert any(f"mine.py:{returned}: error" in each for each in found)
