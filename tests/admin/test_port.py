"""The admin port: nobody enters without the token of the path, whatever the path."""

import asyncio
import io
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.admin.port import OPEN, AdminPort, Mount
from gateway.config import Limits, LogConfig
from gateway.log import open_log
from gateway.log.contract import Entry
from gateway.metrics import Metrics
from gateway.notices import Notices

LOOKUP = "look-up-token"


async def _hello(request: web.Request) -> web.Response:
    return web.json_response({"hello": request.match_info.get("name")})


async def _fail(request: web.Request) -> web.Response:
    raise RuntimeError(f"cool.person@example.com in {request.path}")


@pytest.fixture
async def log(tmp_path):
    notices = Notices(io.StringIO())
    log = await open_log(
        LogConfig(path=tmp_path / "log.db"),
        Limits(),
        topics=["events"],
        notices=notices,
    )
    yield log
    await log.close()


class Admin:
    def __init__(self, log, **more):
        self.said = io.StringIO()
        self.asked: list[object] = []

        async def replaying(asked) -> AsyncIterator[dict[str, object]]:
            self.asked.append(asked)
            yield {"done": True}

        mount = Mount(
            routes=[
                web.get("/v1/people/{name}", _hello),
                web.post("/v1/people", _hello),
                web.get("/v1/fails", _fail),
            ],
            token=LOOKUP,
            refusal="unauthorized",
        )
        self.port = AdminPort(
            log=log,
            metrics=Metrics(),
            notices=Notices(self.said),
            workers=dict,
            replaying=replaying,
            mounts=[more.get("mount", mount)],
            hosts=more.get("hosts", ()),
        )
        self.application = self.port.application()

    async def __aenter__(self):
        self.client = TestClient(TestServer(self.application))
        await self.client.start_server()
        return self

    async def __aexit__(self, *_):
        await self.client.close()

    async def status(self, method, path, *, authorization=None):
        headers = {} if authorization is None else {"Authorization": authorization}
        async with self.client.request(method, path, headers=headers) as response:
            return response.status

    def paths(self):
        """Every method and path that a handler answers."""
        for route in self.application.router.routes():
            assert route.resource is not None
            path = route.resource.canonical.replace("{topic}", "events")
            yield route.method, path.replace("{name}", "ann")


async def test_every_path_but_metrics_and_readyz_wants_its_own_token(log):
    async with Admin(log) as admin:
        closed = [pair for pair in admin.paths() if pair[1] not in OPEN]
        assert {path.split("/")[1] for _, path in closed} == {"control", "v1"}
        for method, path in closed:
            own = admin.port.token if path.startswith("/control") else LOOKUP
            foreign = LOOKUP if path.startswith("/control") else admin.port.token
            for wrong in (None, "", "Bearer", "Bearer x", f"Basic {own}", own):
                status = await admin.status(method, path, authorization=wrong)
                assert status == 401, (method, path, wrong)
            foreigner = f"Bearer {foreign}"
            assert await admin.status(method, path, authorization=foreigner) == 401
            entered = f"Bearer {own}"
            assert await admin.status(method, path, authorization=entered) != 401
        assert admin.asked == []  # a POST without a body is refused, not replayed


async def test_metrics_and_readyz_are_open_and_an_unknown_path_is_a_404(log):
    async with Admin(log) as admin:
        assert await admin.status("GET", "/metrics") == 200
        assert await admin.status("GET", "/readyz") == 200
        assert await admin.status("GET", "/control/nothing") == 404
        assert await admin.status("PUT", "/control/topics") == 405


async def test_a_name_that_is_not_ours_is_answered_nothing_but_421(log):
    async with Admin(log, hosts=["metrics.example"]) as admin:
        token = {"Authorization": f"Bearer {admin.port.token}"}
        port = admin.client.port
        for path in ("/metrics", "/readyz", "/control/topics", "/nothing"):
            for host in ("evil.example", f"127.0.0.1.evil.example:{port}"):
                headers = {"Host": host, **token}
                async with admin.client.get(path, headers=headers) as response:
                    assert response.status == 421
                    message = (await response.json())["message"]
                    assert "server.admin_hosts" in message
            known = 404 if path == "/nothing" else 200
            for host in (f"localhost:{port}", "10.0.0.7", "metrics.example:443"):
                headers = {"Host": host, **token}
                async with admin.client.get(path, headers=headers) as response:
                    assert response.status == known


async def test_a_request_without_a_host_is_no_page_s(log):
    async with Admin(log) as admin:
        assert admin.client.port is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", admin.client.port)
        writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert await asyncio.wait_for(reader.readline(), 5) == b"HTTP/1.0 200 OK\r\n"
        writer.close()


async def test_a_path_that_declares_no_token_is_closed_to_everybody(log):
    admin = Admin(log)
    admin.application.router.add_get("/control/forgotten", _hello)
    async with admin:
        for given in (None, f"Bearer {admin.port.token}", f"Bearer {LOOKUP}"):
            path = "/control/forgotten"
            assert await admin.status("GET", path, authorization=given) == 401


@pytest.mark.parametrize("token", [None, ""])
async def test_a_mount_without_a_token_admits_nobody(log, token):
    mount = Mount(
        routes=[web.get("/v1/people/{name}", _hello)],
        token=token or None,
        refusal="unauthorized: it is not set",
    )
    async with Admin(log, mount=mount) as admin:
        for given in ("Bearer ", "Bearer None", "Bearer"):
            path = "/v1/people/ann"
            assert await admin.status("GET", path, authorization=given) == 401


async def test_the_scheme_may_be_spelled_in_any_case(log):
    async with Admin(log) as admin:
        for scheme in ("Bearer", "bearer", "BEARER"):
            given = f"{scheme} {admin.port.token}"
            assert (
                await admin.status("GET", "/control/topics", authorization=given) == 200
            )


async def test_bytes_that_are_no_text_are_a_wrong_token(log):
    async with Admin(log) as admin:
        for given in ("Bearer \udcff", "Bearer caf\xe9", "\udcff"):
            for path in ("/control/topics", "/v1/people/ann"):
                assert await admin.status("GET", path, authorization=given) == 401
        assert admin.said.getvalue() == ""  # and no bug of ours


async def test_a_bug_is_a_notice_and_shows_nothing_of_the_request(log):
    async with Admin(log) as admin:
        headers = {"Authorization": f"Bearer {LOOKUP}"}
        async with admin.client.get("/v1/fails", headers=headers) as response:
            text = await response.text()
            assert response.status == 500
        assert '"notice": "bug"' in admin.said.getvalue()
        for shown in (text, admin.said.getvalue()):
            assert "cool.person" not in shown
            assert "Traceback" not in shown


async def test_times_and_bodies_that_are_none_are_refused_by_name(log):
    async with Admin(log) as admin:
        headers = {"Authorization": f"Bearer {admin.port.token}"}
        for text in ("x", "1" * 5_000, "1e3", "-", "²"):
            url = "/control/read/events"
            async with admin.client.get(
                url, params={"from": text}, headers=headers
            ) as response:
                assert response.status == 400
                assert "from" in (await response.json())["message"]
        for body in (b"", b"[]", b"{", b"7"):
            async with admin.client.post(
                "/control/replay", data=body, headers=headers
            ) as response:
                assert response.status == 400


async def test_reading_a_topic_gives_its_records_as_lines(log):
    await log.append([Entry("events", b"u", b'{"a": 1}', ())])
    async with Admin(log) as admin:
        headers = {"Authorization": f"Bearer {admin.port.token}"}
        url = "/control/read/events"
        async with admin.client.get(
            url, params={"from": "0", "until": str(2**53)}, headers=headers
        ) as response:
            assert [line async for line in response.content] != []
        async with admin.client.get("/control/topics", headers=headers) as response:
            assert (await response.json())[0]["records"] == 1
        async with admin.client.get(
            "/control/read/nothing", headers=headers
        ) as response:
            assert response.status == 404
            assert "events" in (await response.json())["message"]
