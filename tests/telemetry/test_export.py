"""From the POST to each delivery, seen at a stand-in of a collector."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from gateway import __version__
from gateway.config import Config, parse
from gateway.errors import ConfigError
from gateway.log import open_log
from gateway.log.contract import Record
from gateway.log.contract import Span as LogSpan
from gateway.notices import Notices
from gateway.parts import check
from gateway.telemetry import settings as telemetry_settings
from gateway.topics import EVENTS
from tests.whole import Whole, running, until

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
BASE = """
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
private_destinations = ["127.0.0.0/8"]
[console]
enabled = false
token = "t"
[sources.web]
write_keys = ["dev"]
[destinations.crm]
type = "webhook"
settings = {{ url = "{url}/crm" }}
when = "event != 'left out'"
[destinations.crm.delivery]
retry_base = "50ms"
retry_cap = "100ms"
[destinations.inbox]
type = "file"
settings = {{ path = "data/inbox.ndjson" }}
"""
ON = """
[telemetry]
endpoint = "{url}/v1/traces"
sample = 1
service = "shop"
headers = {{ Authorization = "Bearer s3cret" }}
"""
SECRET = "bob@shop.example"


class Town:
    """A CRM and a collector, which decodes what it gets."""

    def __init__(self) -> None:
        self.crm: list[int] = []
        self.collector = 200
        self.spans: list[Span] = []
        self.resources: list[dict[str, str]] = []
        self.seen: list[dict[str, str]] = []
        self.raw = b""
        application = web.Application()
        application.router.add_post("/crm", self._crm)
        application.router.add_post("/v1/traces", self._traces)
        self.server = TestServer(application)

    async def _crm(self, request: web.Request) -> web.Response:
        return web.Response(status=self.crm.pop(0) if self.crm else 200)

    async def _traces(self, request: web.Request) -> web.Response:
        self.seen.append(dict(request.headers))
        body = await request.read()
        if self.collector == 200:
            self.raw += body
            told = ExportTraceServiceRequest.FromString(body)
            for resource in told.resource_spans:
                self.resources.append(values(resource.resource.attributes))
                for scope in resource.scope_spans:
                    assert scope.scope.name == "gateway"
                    self.spans += scope.spans
        return web.Response(status=self.collector)

    def named(self, name: str) -> list[Span]:
        return [each for each in self.spans if each.name == name]


def values(attributes: Any) -> dict[str, Any]:
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value"))
        for each in attributes
    }


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    town = Town()
    await town.server.start_server()
    yield town
    await town.server.close()


def read(folder: Path, town: Town, text: str = BASE + ON) -> Config:
    url = str(town.server.make_url("")).rstrip("/")
    return parse(text.format(url=url), folder=folder, environment={})


async def post(
    gateway: Whole, body: Any, headers: Any = None, path: str = "/v1/identify"
) -> int:
    headers = {"Authorization": "Basic ZGV2Og==", **(headers or {})}
    url = gateway.url + path
    async with gateway.session.post(url, json=body, headers=headers) as response:
        return response.status


async def test_a_trace_leads_from_the_post_to_every_delivery(
    tmp_path: Path, town: Town
) -> None:
    town.crm = [500]
    async with running(read(tmp_path, town)) as gateway:
        body = {"userId": SECRET, "messageId": "m1", "traits": {"email": SECRET}}
        assert await post(gateway, body, PARENT) == 200
        await until(lambda: len(town.named("deliver crm")) == 2)
        await until(lambda: town.named("deliver inbox"))
    (request,) = town.named("POST identify")
    (append,) = town.named("append")
    failed, delivered = town.named("deliver crm")
    (kept,) = town.named("deliver inbox")
    spans = [request, append, failed, delivered, kept]
    assert {each.trace_id.hex() for each in spans} == {TRACE}
    assert request.parent_span_id.hex() == SPAN
    assert {each.parent_span_id for each in spans[1:]} == {request.span_id}
    assert len({each.span_id for each in spans}) == 5

    assert request.kind == Span.SPAN_KIND_SERVER
    assert delivered.kind == Span.SPAN_KIND_CONSUMER
    assert values(request.attributes) == {
        "gateway.endpoint": "identify",
        "http.response.status_code": 200,
    }
    assert values(append.attributes) == {"gateway.entries": 3}
    told = values(failed.attributes)
    assert told["gateway.result"] == "retry"
    assert (told["http.response.status_code"], told["gateway.attempt"]) == (500, 1)
    assert failed.status.code == Status.STATUS_CODE_ERROR
    assert failed.status.message == "500"
    told = values(delivered.attributes)
    assert told == {
        "gateway.result": "delivered",
        "gateway.destination": "crm",
        "gateway.events": 1,
        "gateway.attempt": 2,
        "http.response.status_code": 200,
    }
    assert delivered.status.code == Status.STATUS_CODE_UNSET
    assert all(each.start_time_unix_nano <= each.end_time_unix_nano for each in spans)
    assert request.start_time_unix_nano <= append.start_time_unix_nano
    assert SECRET.encode() not in town.raw  # no value of a payload is in a trace
    (resource, *_) = town.resources
    assert resource["service.name"] == "shop"
    assert resource["service.version"] == __version__
    assert town.seen[0]["Authorization"] == "Bearer s3cret"


async def records(config: Config, topic: str) -> list[Record]:
    """What is in the log, once nobody holds it."""
    notices = Notices(io.StringIO())
    log = await open_log(config.log, config.limits, topics=[topic], notices=notices)
    try:
        return [record async for record in log.scan(topic, LogSpan())]
    finally:
        await log.close()


async def test_what_needs_no_request_is_a_part_of_the_trace_too(
    tmp_path: Path, town: Town
) -> None:
    async with running(read(tmp_path, town)) as gateway:
        body = {"userId": "u", "event": "left out"}
        await post(gateway, body, path="/v1/track")
        await until(lambda: town.named("judge crm"))
    (judged,) = town.named("judge crm")
    told = values(judged.attributes)
    assert (told["gateway.result"], told["gateway.reason"]) == ("filtered", "when")
    assert judged.trace_id == town.named("POST track")[0].trace_id


async def test_a_refused_request_is_a_trace_without_deliveries(
    tmp_path: Path, town: Town
) -> None:
    async with running(read(tmp_path, town)) as gateway:
        assert await post(gateway, {"traits": 7}) == 400
        await until(lambda: town.named("POST identify"))
    (span,) = town.named("POST identify")
    assert values(span.attributes)["http.response.status_code"] == 400
    assert span.status.code == Status.STATUS_CODE_UNSET  # the sender's fault
    assert {each.name for each in town.spans} == {"POST identify", "append"}


async def test_what_waits_at_the_end_is_sent_before_it(
    tmp_path: Path, town: Town
) -> None:
    async with running(read(tmp_path, town)) as gateway:
        await post(gateway, {"userId": "u"})
    assert len(town.named("POST identify")) == 1


async def test_a_collector_that_is_away_costs_a_notice_and_nothing_else(
    tmp_path: Path, town: Town
) -> None:
    town.collector = 400
    async with running(read(tmp_path, town)) as gateway:
        assert await post(gateway, {"userId": "u"}) == 200
        await until(lambda: town.seen)
        assert await post(gateway, {"userId": "u"}) == 200
    lost = gateway.notices("telemetry_failed")
    assert {each["name"] for each in lost} == {"export"}
    assert "Traceback" not in gateway.said.getvalue()


async def test_a_collector_that_hangs_does_not_hold_up_the_end(
    tmp_path: Path, town: Town, unused_tcp_port: int
) -> None:
    asked, over = asyncio.Event(), asyncio.Event()

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await over.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", unused_tcp_port)
    text = (BASE + ON).replace("{url}/v1/traces", f"http://127.0.0.1:{unused_tcp_port}")
    async with asyncio.timeout(15):  # a request to it would take its ten seconds twice
        async with running(read(tmp_path, town, text)) as gateway:
            await post(gateway, {"userId": "u"})
    assert asked.is_set()
    over.set()
    server.close()
    await server.wait_closed()


async def test_off_nothing_is_carried_and_nothing_is_sent(
    tmp_path: Path, town: Town
) -> None:
    config = read(tmp_path, town, BASE)
    async with running(config) as gateway:
        await post(gateway, {"userId": "u", "messageId": "m1"}, PARENT)
        inbox = tmp_path / "data" / "inbox.ndjson"
        await until(lambda: inbox.exists() and inbox.read_text())
    names = [name for each in await records(config, EVENTS) for name, _ in each.headers]
    assert "messageId" in names
    assert "traceparent" not in names
    assert town.seen == []


# what `gateway check` refuses


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("[telemetry]\nsample = 1", "telemetry.endpoint: is missing: write"),
        ("[telemetry]\nendpoint = 'collector'", "telemetry.endpoint: is no http://"),
        ("[telemetry]\nend_point = 'x'", "telemetry.end_point: unknown.*mean endpoint"),
        (
            "[telemetry]\nendpoint = 'http://c.example/'\nheaders = { a = 1 }",
            "telemetry.headers.a: is not a text",
        ),
        (
            "[telemetry]\nendpoint = 'http://c.example/'\nsample = 0",
            "telemetry.sample: 0 is not a whole number above 0",
        ),
    ],
)
def test_what_cannot_work_is_named(tmp_path: Path, table: str, words: str) -> None:
    text = "[sources.web]\nwrite_keys = ['dev']\n" + table
    with pytest.raises(ConfigError, match=words):
        check(parse(text, folder=tmp_path, environment={}))


def test_without_the_extra_the_remedy_is_said(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(telemetry_settings, "NEEDED", ("opentelemetry_nowhere.sdk",))
    text = "[sources.web]\nwrite_keys = ['dev']\n[telemetry]\n"
    text += "endpoint = 'http://c.example/'"
    with pytest.raises(ConfigError, match=r"pip install 'gateway\[otel\]'"):
        check(parse(text, folder=tmp_path, environment={}))
