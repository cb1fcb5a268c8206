"""Who gets in: the token, a link once; and who does not, whatever they send."""

import asyncio
import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from gateway.config import parse
from tests.whole import Whole, running

TOKEN = "the-token-of-these-tests"
CONFIG = f"""
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
[console]
listen = "127.0.0.1:0"
token = "{TOKEN}"
[sources.web]
write_keys = ["dev", "the-secret-key-of-web"]
[destinations.inbox]
type = "file"
settings = {{ path = "inbox.ndjson" }}
"""
PATHS = (
    "/",
    "/live",
    "/live/stream",
    "/events/x",
    "/find?q=x",
    "/people",
    "/people/x",
    "/sources",
    "/catalogue",
    "/destinations",
    "/destinations/inbox",
    "/dead/inbox",
    "/replays",
    "/replays/preview",
    "/replays/x",
    "/nowhere",
)
FORMS = ("/replays", "/dead/inbox", "/replays/x/stop", "/replays/x/resume", "/logout")


class Visitor:
    """A browser, as far as a server can tell."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url, self.session = url, session

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        async with self.session.get(
            self.url + path, headers=headers, allow_redirects=False
        ) as answer:
            return answer.status, await answer.text()

    async def post(
        self, path: str, form: dict[str, str], **headers: str
    ) -> tuple[int, str]:
        given = {"Origin": self.url, **headers}
        async with self.session.post(
            self.url + path, data=form, headers=given, allow_redirects=False
        ) as answer:
            return answer.status, await answer.text()

    async def form_token(self, path: str) -> str:
        _, text = await self.get(path)
        found = re.search(r'name="form" value="([^"]+)"', text)
        assert found, text
        return html.unescape(found[1])

    async def enter(self, token: str = TOKEN) -> int:
        form = {"form": await self.form_token("/login"), "token": token}
        return (await self.post("/login", form))[0]


@asynccontextmanager
async def visiting(gateway: Whole) -> AsyncIterator[Visitor]:
    jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address, too
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        yield Visitor(url_of(gateway), session)


def url_of(gateway: Whole) -> str:
    ((port,),) = [gateway.ports.result()[2]]
    return port.url


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Whole]:
    async with running(parse(CONFIG, folder=tmp_path, environment={})) as whole:
        yield whole


@pytest.fixture
async def visitor(gateway: Whole) -> AsyncIterator[Visitor]:
    async with visiting(gateway) as one:
        yield one


async def test_without_a_session_every_page_asks_for_the_token(visitor):
    for path in PATHS:
        status, text = await visitor.get(path)
        assert status == 303, path
        assert "inbox" not in text
    for path in FORMS:
        assert (await visitor.post(path, {}))[0] == 401, path
    status, _ = await visitor.get("/live/stream", Accept="text/event-stream")
    assert status == 401


async def test_the_token_opens_and_no_other_text_does(visitor):
    for wrong in ("", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "ü\ud83d\ude00"):
        if wrong.isascii():
            assert await visitor.enter(wrong) == 403
    assert (await visitor.get("/"))[0] == 303
    assert await visitor.enter() == 200
    assert (await visitor.get("/"))[0] == 200


async def test_ten_wrong_tokens_make_everybody_wait(visitor):
    for _ in range(10):
        assert await visitor.enter("wrong") == 403
    assert await visitor.enter() == 429


async def test_a_link_opens_once(gateway):
    ((port,),) = [gateway.ports.result()[2]]
    path = port.said.partition(port.url)[2]
    async with visiting(gateway) as first:
        assert (await first.get(path))[0] == 200
        assert (await first.get("/"))[0] == 200
    async with visiting(gateway) as second:
        status, text = await second.get(path)
        assert status == 403
        assert "used before" in text
        assert (await second.get("/"))[0] == 303


async def test_a_cookie_is_for_this_site_alone_and_no_script_reads_it(visitor):
    form = {"form": await visitor.form_token("/login"), "token": TOKEN}
    async with visitor.session.post(
        visitor.url + "/login", data=form, headers={"Origin": visitor.url}
    ) as answer:
        cookies = answer.headers.getall("Set-Cookie")
    (session,) = [each for each in cookies if each.startswith("gateway_console_")]
    assert "HttpOnly" in session
    assert "SameSite=Strict" in session
    assert TOKEN not in session


async def test_a_forged_or_changed_cookie_opens_nothing(gateway, visitor):
    assert await visitor.enter() == 200
    ((name, good),) = [
        (cookie.key, cookie.value)
        for cookie in visitor.session.cookie_jar
        if cookie.key.startswith("gateway_console_")
    ]
    until, number, code = good.split(".")
    forged = [
        f"{int(until) + 1}.{number}.{code}",
        f"{until}.{'0' * 32}.{code}",
        f"{until}.{number}.{'0' * 64}",
        f"{until}.{number}.",
        f"{until}.{number}",
        "x.y.z",
        "..",
        "",
    ]
    async with aiohttp.ClientSession() as session:
        for value in forged:
            headers = {"Cookie": f"{name}={value}"}
            async with session.get(
                visitor.url + "/", headers=headers, allow_redirects=False
            ) as answer:
                assert answer.status == 303, value
        headers = {"Cookie": f"{name}={good}"}
        async with session.get(visitor.url + "/", headers=headers) as answer:
            assert answer.status == 200


async def test_a_form_without_its_token_does_nothing(visitor):
    assert await visitor.enter() == 200
    good = await visitor.form_token("/")
    for path in FORMS:
        for wrong in ({}, {"form": ""}, {"form": "0" * 64}, {"form": good[:-1]}):
            assert (await visitor.post(path, wrong))[0] == 403, (path, wrong)
    login = await visitor.post("/login", {"form": good, "token": TOKEN})
    assert login[0] == 403  # that of a session is not that of a visit


@pytest.mark.parametrize(
    ("body", "sent_as"),
    [
        (b"token=\xff", "application/x-www-form-urlencoded"),
        (b"token=a", "application/x-www-form-urlencoded; charset=utf-16"),
        (b"token=a", "application/x-www-form-urlencoded; charset=nonsense"),
        (b"", "multipart/form-data"),
        (b"--x", "multipart/form-data; boundary=x"),
    ],
)
async def test_a_form_that_nobody_can_read_is_a_400_and_no_bug(
    gateway, visitor, body, sent_as
):
    await visitor.enter()
    for path in ("/login", *FORMS):
        headers = {"Origin": visitor.url, "Content-Type": sent_as}
        async with visitor.session.post(
            visitor.url + path, data=body, headers=headers
        ) as answer:
            assert answer.status == 400, path
            assert "That form is not ours." in await answer.text()
    assert gateway.notices("bug") == []


async def test_a_form_of_another_session_does_nothing(gateway, visitor):
    assert await visitor.enter() == 200
    async with visiting(gateway) as other:
        assert await other.enter() == 200
        theirs = await other.form_token("/")
    assert (await visitor.post("/logout", {"form": theirs}))[0] == 403
    assert (await visitor.get("/"))[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": ""},
        {"Origin": "http://[::1"},
    ],
)
async def test_a_post_from_another_site_is_refused(visitor, headers):
    assert await visitor.enter() == 200
    good = await visitor.form_token("/")
    status, _ = await visitor.post("/logout", {"form": good}, **headers)
    assert status == 403
    assert (await visitor.get("/"))[0] == 200


async def test_a_post_that_says_no_origin_is_refused(visitor):
    assert await visitor.enter() == 200
    good = await visitor.form_token("/")
    async with visitor.session.post(
        visitor.url + "/logout", data={"form": good}, allow_redirects=False
    ) as answer:
        assert answer.status == 403


async def test_what_another_site_embeds_or_fetches_is_refused(visitor):
    assert await visitor.enter() == 200
    for mode in ("no-cors", "cors"):
        for site in ("cross-site", "same-site"):
            headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
            assert (await visitor.get("/live/stream", **headers))[0] == 403
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert (await visitor.get("/", **link))[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "localhost.evil.example",
        "127.0.0.1.x",
    ],
)
async def test_a_name_that_somebody_made_point_here_is_refused(visitor, host):
    assert await visitor.enter() == 200
    port = visitor.url.rpartition(":")[2]
    for path in ("/", "/login", "/static/console.css"):
        status, _ = await visitor.get(path, Host=host.format(port=port))
        assert status == 421, path


async def test_behind_a_proxy_with_tls_it_has_the_configured_name(tmp_path):
    text = CONFIG.replace("[console]", '[console]\nhosts = ["console.example"]')
    proxied = {"Host": "console.example", "Origin": "https://console.example"}
    whole = parse(text, folder=tmp_path, environment={})
    async with running(whole) as gateway, visiting(gateway) as one:
        assert (await one.get("/login", Host="other.example"))[0] == 421
        status, page = await one.get("/login", Host="console.example")
        assert status == 200
        found = re.search(r'name="form" value="([^"]+)"', page)
        assert found
        form = {"form": html.unescape(found[1]), "token": TOKEN}
        async with one.session.post(
            one.url + "/login", data=form, headers=proxied
        ) as answer:
            assert answer.status == 200
            cookies = answer.headers.getall("Set-Cookie")
        (session,) = [each for each in cookies if each.startswith("gateway_console=")]
        assert "Secure" in session


async def test_localhost_and_addresses_are_where_it_is(visitor):
    port = visitor.url.rpartition(":")[2]
    ports = f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}"
    for host in (*ports, "localhost:99999", "[::1]"):
        assert (await visitor.get("/login", Host=host))[0] == 200


async def test_every_answer_says_what_a_browser_may_do(visitor):
    await visitor.enter()
    for path in ("/", "/login", "/nowhere", "/static/console.js"):
        async with visitor.session.get(visitor.url + path) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "same-origin"


async def test_no_page_shows_a_key_or_the_token(visitor):
    await visitor.enter()
    for path in PATHS:
        if path == "/live/stream":
            continue
        _, text = await visitor.get(path)
        assert "the-secret-key-of-web" not in text, path
        assert TOKEN not in text, path


async def test_after_coming_in_one_goes_on_within_the_console_only(visitor):
    for path in ("//evil.example/", "/\\evil.example", "https://evil.example"):
        form = {"form": await visitor.form_token("/login"), "token": TOKEN}
        _, text = await visitor.post(f"/login?next={path}", form)
        assert "evil" not in text
    form = {"form": await visitor.form_token("/login"), "token": TOKEN}
    _, text = await visitor.post("/login?next=/sources", form)
    assert "url=/sources" in text


async def test_the_answer_to_a_stop_is_not_waited_for_by_a_live_page(gateway, visitor):
    await visitor.enter()
    async with visitor.session.get(visitor.url + "/live/stream") as stream:
        assert stream.status == 200
        gateway.stop.set()
        async with asyncio.timeout(15):
            await asyncio.wait([gateway.task])


async def test_without_a_table_there_is_no_console(tmp_path):
    before, _, rest = CONFIG.partition("[console]")
    text = before + rest[rest.index("[sources") :]
    async with running(parse(text, folder=tmp_path, environment={})) as whole:
        assert whole.ports.result()[2] == []


async def test_a_taken_port_is_named_by_its_key(gateway, tmp_path):
    taken = url_of(gateway).removeprefix("http://")
    text = CONFIG.replace(
        '[console]\nlisten = "127.0.0.1:0"', f'[console]\nlisten = "{taken}"'
    )
    with pytest.raises(Exception, match=r"console\.listen: cannot listen on"):
        async with running(parse(text, folder=tmp_path / "two", environment={})):
            pass
