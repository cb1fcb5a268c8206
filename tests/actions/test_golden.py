"""Twenty vendors: what each is to get of an event, judged by what the vendor publishes.

``ACCEPT=1`` in the environment writes the expected requests anew; the diff is read with
the vendor's documentation beside it. ``schema.json`` has the parts of its API
description that matter here, where it publishes one.
"""

import asyncio
import hashlib
import hmac
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest

from gateway.actions import node
from gateway.event import Json
from tests.actions import golden

pytestmark = pytest.mark.service
CASES = [(each, case) for each in golden.VENDORS for case in golden.cases(each)]
AT_ONCE = 3
Made = Mapping[tuple[str, str], Sequence[Mapping[str, Json]]]


@pytest.fixture(scope="module")
def made() -> Made:
    """(vendor, case) -> the requests of the dry run."""
    program, turn = node.find(), asyncio.Semaphore(AT_ONCE)
    found: dict[tuple[str, str], Sequence[Mapping[str, Json]]] = {}

    async def one(vendor: str) -> None:
        async with turn, golden.showing(vendor, program) as show:
            for case in golden.cases(vendor):
                shown = await show(case)
                requests = [golden.readable(each) for each in shown.requests]
                found[vendor, case] = requests

    async def every() -> None:
        await asyncio.gather(*map(one, golden.VENDORS))

    asyncio.run(every())
    return found


def test_there_are_twenty() -> None:
    assert len(golden.VENDORS) == 20
    for vendor in golden.VENDORS:
        assert any(golden.wanted(vendor, case) for case in golden.cases(vendor)), vendor


@pytest.mark.parametrize(("vendor", "case"), CASES)
def test_a_vendor_gets_what_it_documents(made: Made, vendor: str, case: str) -> None:
    requests = made[vendor, case]
    if os.environ.get("ACCEPT"):
        write(vendor, case, requests)
    assert requests == golden.wanted(vendor, case)


def write(vendor: str, case: str, requests: Sequence[Mapping[str, Json]]) -> None:
    file = golden.expected(vendor, case)
    file.unlink(missing_ok=True)
    if requests:
        text = json.dumps(requests, indent=2, ensure_ascii=False)
        file.write_text(text + "\n", encoding="utf-8")


def schemas(vendor: str) -> Mapping[str, Any]:
    """``METHOD PATH``, or with ``#FIELD`` of a form -> what the body has to be."""
    file = golden.GOLDEN / vendor / "schema.json"
    found: Mapping[str, Any] = json.loads(file.read_bytes()) if file.exists() else {}
    return found


PUBLISHED = [(v, c) for v, c in CASES if schemas(v) and golden.expected(v, c).exists()]


@pytest.mark.parametrize(("vendor", "case"), PUBLISHED)
def test_a_body_is_what_the_vendors_own_description_takes(
    made: Made, vendor: str, case: str
) -> None:
    for request in made[vendor, case]:
        schema, field = described(request, schemas(vendor))
        body: Any = request["body"]
        jsonschema.validate(body[field] if field else body, schema)


def described(
    request: Mapping[str, Json], found: Mapping[str, Any]
) -> tuple[Mapping[str, Any], str]:
    """The schema of a request and the form's field that it is of, if it is of one."""
    path = urlsplit(str(request["url"])).path.rstrip("/")
    for key, schema in found.items():
        method, _, pattern = key.partition(" ")
        place, _, field = pattern.partition("#")
        shape = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(place))
        if method == request["method"] and re.fullmatch(shape, path):
            return schema, field
    raise AssertionError(f"{path} is not described")


def test_the_webhook_is_signed_as_segment_signs_it(made: Made) -> None:
    for case in golden.EVENTS:
        (request,) = made["webhook", case]
        body = json.dumps(request["body"], separators=(",", ":"), ensure_ascii=False)
        signed = hmac.new(b"webhook-shared-secret", body.encode(), hashlib.sha1)
        headers: Any = request["headers"]
        assert headers["x-signature"] == signed.hexdigest()


@pytest.mark.parametrize("vendor", golden.VENDORS)
def test_no_secret_is_shown(made: Made, vendor: str) -> None:
    table = golden.table(vendor)
    secrets = re.findall(r'"([\w-]*(?:-token|-key|-secret|Token4411))"', table)
    shown = json.dumps([each for (name, _), each in made.items() if name == vendor])
    assert [each for each in secrets if each in shown] == []
