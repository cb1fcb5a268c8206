"""Explaining what is wrong costs little, and says nothing that is not so."""

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.event import Raw
from gateway.inbound import check, intake
from gateway.inbound.check import VALIDATORS, check_part
from gateway.inbound.excerpt import CHILDREN_MAX, VALUES_MAX, excerpt
from gateway.inbound.plan import load_plan
from gateway.inbound.refusal import FAULTS_MAX, Refusal
from tests.chance import examples
from tests.inbound.house import GOOD
from tests.inbound.samples import codes, identify


def values_in(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 1
    inner = value.values() if isinstance(value, dict) else value
    return 1 + sum(map(values_in, inner))


SMALL: list[Any] = [
    None,
    5,
    "x" * 9_999,
    [],
    {},
    [[0] * 200] * 9,
    {"a": {"b": [{}] * 150}},
]


@pytest.mark.parametrize("value", SMALL, ids=lambda value: repr(value)[:20])
def test_a_small_value_needs_no_excerpt(value):
    assert excerpt(value) is None


def nested(width: int, depth: int) -> Any:
    return [nested(width, depth - 1) for _ in range(width)] if depth else 0


@pytest.mark.parametrize(
    "value",
    [
        [0] * 16_000,
        {str(number): number for number in range(16_000)},
        {"a": [[1]] * 201, "b": 1},
        nested(13, 4),
        nested(25, 3),
        [[0] * 150] * 100,
        {"first": [0] * 5_000, "second": {"x": {"y": 1}}},
    ],
    ids=lambda value: repr(value)[:20],
)
def test_an_excerpt_is_a_part_of_bounded_size_and_knows_what_it_lacks(value):
    part = excerpt(value)
    assert part is not None
    assert values_in(part.value) <= VALUES_MAX + 1

    def same(whole: Any, kept: Any, way: tuple[str | int, ...]) -> None:
        if not isinstance(whole, dict | list):
            assert kept == whole
            return
        lacks = len(kept) < len(whole)
        assert len(kept) <= CHILDREN_MAX
        assert not lacks or {way[:n] for n in range(len(way) + 1)} <= part.doubtful
        keys = kept if isinstance(kept, dict) else range(len(kept))
        for key in keys:
            same(whole[key], kept[key], (*way, key))

    same(value, part.value, ())


class Counting:
    """A validator that counts the values whose errors are all listed."""

    def __init__(self, real: jsonschema_rs.Draft202012Validator) -> None:
        self.real, self.listed = real, 0
        self.is_valid, self.validate = real.is_valid, real.validate

    def iter_errors(self, value: Any) -> Any:
        self.listed += values_in(value)
        return self.real.iter_errors(value)


def wide(count: int, wrong: Any, at: int) -> list[dict[str, Any]]:
    """Three messages whose width is somewhere else; at one place each is wrong."""
    words = ["x"] * count
    words[at] = wrong
    names = dict.fromkeys(map("n{}".format, range(count)), "x")
    options: dict[str, Any] = dict.fromkeys(names, True)
    names[f"n{at}"] = options[f"n{at}"] = wrong
    return [
        identify(context={"page": {"keywords": words}}),
        identify(context={"campaign": names}),
        identify(integrations=options),
    ]


@pytest.mark.parametrize("at", [0, 199, 200, 5_000, 13_999])
def test_one_fault_among_many_values_is_found_wherever_it_is(monkeypatch, at):
    counting = Counting(VALIDATORS["identify"])
    monkeypatch.setitem(VALIDATORS, "identify", counting)
    places = (f"/context/page/keywords/{at}", f"/context/campaign/n{at}")
    for raw, place in zip(
        wide(14_000, 5, at), (*places, f"/integrations/n{at}"), strict=True
    ):
        counting.listed = 0
        assert codes(check.check(Raw(raw))) == {(place, "type")}
        assert 0 < counting.listed <= VALUES_MAX + 1


def test_many_faults_are_not_all_listed(monkeypatch):
    """14,000 wrong keywords, which fit in a message, were 80 ms of the loop."""
    counting = Counting(VALIDATORS["identify"])
    monkeypatch.setitem(VALIDATORS, "identify", counting)
    raw = identify(context={"page": {"keywords": [1] * 14_000}})
    told = codes(check.check(Raw(raw)))
    assert len(told) == FAULTS_MAX
    assert {("/context/page/keywords/0", "type")} <= told
    assert counting.listed < 300


def test_what_is_said_of_a_part_is_true_of_the_whole(tmp_path):
    """Neither an email beyond the excerpt is missing, nor are items too few."""
    traits = {**dict.fromkeys(map(str, range(300)), 1), "email": "a@example.com"}
    raw = identify(userId="", traits=traits, context={"active": "x"})
    assert codes(check.check(Raw(raw))) == {("/context/active", "type")}
    del traits["email"]
    del raw["context"]
    assert codes(check.check(Raw(raw))) == {("", "missing_identifier")}
    array = {"type": "array", "minItems": 300, "items": {"type": "string"}}
    schema = {"properties": {"list": array}, "required": ["x"]}
    file = tmp_path / "plan.json"
    file.write_text(json.dumps({"traits": schema}))
    plan = load_plan(file)
    traits = {"list": ["a"] * 250 + [1] + ["a"] * 250, "x": 1}
    found = codes(check.check(identify(traits=traits), plan))
    assert found == {("/traits/list/250", "type")}
    del traits["x"]
    found = codes(check.check(identify(traits=traits), plan))
    assert found <= {("/traits/list/250", "type"), ("/traits", "required")}


def test_the_parts_of_a_track_api_request_are_explained_so_too():
    data = dict.fromkeys(map(str, range(500)), 1)
    refusal = check_part({"data": data, "name": 5}, "event")
    assert codes(refusal) == {("/name", "type")}


PLACES = st.lists(st.integers(0, 400), max_size=30)
WRONG: st.SearchStrategy[Any] = st.sampled_from([5, None, [], {}, "x", True])


@given(PLACES, PLACES, PLACES, WRONG, st.booleans())
@settings(max_examples=examples(60))
def test_faults_of_a_large_message_are_faults_of_all_of_it(one, two, three, wrong, ids):
    words: list[Any] = ["x"] * 401
    campaign: dict[str, Any] = dict.fromkeys(map("n{}".format, range(401)), "x")
    options: dict[str, Any] = dict.fromkeys(campaign, True)
    for place in one:
        words[place] = wrong
    campaign.update((f"n{place}", wrong) for place in two)
    options.update((f"n{place}", wrong) for place in three)
    raw = {
        "type": "identify",
        "context": {"page": {"keywords": words}, "campaign": campaign},
        "integrations": options,
        **({"userId": "u"} if ids else {}),
    }
    result = check.check(Raw(raw))
    errors = list(VALIDATORS["identify"].iter_errors(raw))
    assert isinstance(result, Refusal) == bool(errors)
    if isinstance(result, Refusal):
        real = {"".join(f"/{part}" for part in each.instance_path) for each in errors}
        assert 1 <= len(result.faults) <= FAULTS_MAX
        assert {fault.pointer for fault in result.faults} <= real


@pytest.mark.parametrize("own_keys", [False, True], ids=["pieces", "whole"])
async def test_a_message_that_is_too_large_is_neither_judged_nor_explained(
    house, monkeypatch, own_keys
):
    """21 s and 5.9 GB: 2 million wrong keywords, weighed after they were judged."""
    monkeypatch.setattr(intake, "admit", lambda *_: pytest.fail("it was judged"))
    large = identify(context={"page": {"keywords": [1] * 50_000}})
    key = {"writeKey": "dev"} if own_keys else {}
    body = {"batch": [{**large, **key}] * 2}
    status, said, _ = await house.post(
        "/v1/batch", body, key=None if own_keys else "dev"
    )
    assert status == 400
    for each in said["rejected"]:
        (error,) = each["errors"]
        assert error["code"] == "too_large"
        assert "more than 32768" in error["message"]


async def test_a_long_text_of_a_short_message_is_none(house):
    """Spaces and escapes are no part of a message's size."""
    spaced = b'{"type": "identify",' + b" " * 40_000 + b'"userId": "u"}'
    escaped = json.dumps({**GOOD, "traits": {"a": "é" * 9_000}}).encode()
    assert len(escaped) > 50_000
    for text in (spaced, escaped):
        body = b'{"batch":[%s,%s]}' % (text, text)
        assert (await house.post("/v1/batch", body))[:2] == (200, {"success": True})
