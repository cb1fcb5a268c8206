"""Messages reach a webhook, Slack and a command; what could not is a notice."""

import asyncio
import hashlib
import hmac
import json
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.alerts import tell
from gateway.alerts.judge import Trouble
from gateway.alerts.keep import WAITING_MAX, Book, StateError
from gateway.alerts.message import Message, sample
from gateway.alerts.settings import Alerts
from gateway.alerts.tell import Failed, Teller, channels
from gateway.outbound.http import NoResponse, Request, Response
from tests.whole import PATIENCE_S, until

AT_MS = 1_768_472_000_000
DOWN = Message(
    rule="destination_down",
    subject="crm",
    state="begins",
    text="destination_down: crm <serves> nobody & <!channel>",
    at_ms=AT_MS,
    since_ms=AT_MS - 120_000,
    facts={"lag": 5},
)


class Net:
    """What is sent, and what it is answered in turn; 200 at last."""

    def __init__(self, *answers: int | str) -> None:
        self.answers = list(answers)
        self.got: list[Request] = []

    async def __call__(self, request: Request) -> Response | NoResponse:
        self.got.append(request)
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, str):
            return NoResponse(answer)
        return Response(status=answer)


async def told(settings: Alerts, net: Net, message: Message = DOWN) -> Failed | None:
    (channel,) = channels(settings, net, Path()).values()
    return await channel(message)


async def test_a_webhook_gets_the_message_signed() -> None:
    net = Net()
    hook = Alerts(webhook="https://ops.example/a", secret="s3cret")
    assert await told(hook, net) is None
    (request,) = net.got
    assert (request.url, request.method) == ("https://ops.example/a", "POST")
    assert json.loads(request.body) == {
        "id": DOWN.id,
        "alert": "destination_down",
        "subject": "crm",
        "state": "begins",
        "at": "2026-01-15T10:13:20.000Z",
        "since": "2026-01-15T10:11:20.000Z",
        "text": DOWN.text,
        "facts": {"lag": 5},
    }
    made = hmac.new(b"s3cret", request.body, hashlib.sha256).hexdigest()
    assert request.headers["X-Gateway-Signature"] == f"sha256={made}"


async def test_without_a_secret_nothing_is_signed() -> None:
    net = Net()
    await told(Alerts(webhook="https://ops.example/a"), net)
    assert "X-Gateway-Signature" not in net.got[0].headers


async def test_slack_gets_a_line_that_mentions_nobody() -> None:
    net = Net()
    assert await told(Alerts(slack="https://hooks.example/x"), net) is None
    said = json.loads(net.got[0].body)["text"]
    text = "destination_down: crm &lt;serves&gt; nobody &amp; &lt;!channel&gt;"
    assert said == f":red_circle: {text}"


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (500, Failed("500")),
        (302, Failed("302")),
        (404, Failed("404", final=True)),
        ("ConnectionRefusedError", Failed("ConnectionRefusedError")),
    ],
)
async def test_what_an_answer_means(answer: int | str, failed: Failed) -> None:
    assert await told(Alerts(slack="https://hooks.example/x"), Net(answer)) == failed


# commands


def script(folder: Path, text: str) -> tuple[str, ...]:
    file = folder / "page.py"
    file.write_text(f"#!{sys.executable}\nimport sys, os, time, signal\n{text}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return (str(file), "it's", "$(no shell)")


async def run(command: Sequence[str], timeout_s: float = 20.0) -> Failed | None:
    settings = Alerts(command=tuple(command), timeout_s=timeout_s)
    return await told(settings, Net())


async def test_a_command_reads_the_message_and_gets_its_arguments(tmp_path) -> None:
    text = "open(__file__ + '.got', 'w').write(str(sys.argv[1:]) + sys.stdin.read())"
    assert await run(script(tmp_path, text)) is None
    got = (tmp_path / "page.py.got").read_text()
    assert got == str(["it's", "$(no shell)"]) + DOWN.to_json().decode() + "\n"


async def test_a_command_that_fails_or_reads_nothing_is_told(tmp_path) -> None:
    assert await run(script(tmp_path, "sys.exit(3)")) == Failed("exit code 3")
    assert await run(["/nowhere/page"]) == Failed("FileNotFoundError")


async def test_a_command_that_hangs_is_ended_with_all_it_started(tmp_path) -> None:
    text = (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "open(__file__ + '.pid', 'w').write(str(os.getpid()))\ntime.sleep(600)"
    )
    failed = await run(script(tmp_path, text), timeout_s=2.0)
    assert failed == Failed("was not done in 2 s")
    pid = int((tmp_path / "page.py.pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


# trying again


class Said:
    def __init__(self) -> None:
        self.notices: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, code: str, /, **fields: Any) -> None:
        self.notices.append((code, fields))


async def teller(book: Book, channel, said: Said):
    made = Teller("slack", channel, book, said, chance=lambda: 0.5, base_s=0.0)
    return asyncio.create_task(made.run())


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task], timeout=PATIENCE_S)
    assert task.cancelled()


@pytest.fixture
async def book(tmp_path: Path):
    book = Book(tmp_path / "data" / "alerts.json", ["slack"])
    assert await book.open(AT_MS)
    yield book
    await book.close()


async def test_it_is_tried_until_it_is_taken_in_order(book: Book) -> None:
    net, said = Net(503, "TimeoutError", 429), Said()
    slack = channels(Alerts(slack="https://hooks.example/x"), net, Path())["slack"]
    task = await teller(book, slack, said)
    over = sample(AT_MS)
    await book.add({}, [DOWN, over])
    await until(lambda: len(net.got) == 5)
    await until(lambda: book.first("slack") is None)
    await ended(task)
    sent = [json.loads(each.body)["text"][:12] for each in net.got]
    assert sent == [":red_circle:"] * 4 + [":white_circl"]
    assert said.notices == []


async def test_what_nobody_takes_is_given_up_with_a_notice(
    book: Book, monkeypatch
) -> None:
    monkeypatch.setattr(tell, "TRIES", 3)
    net, said = Net(500, 500, 500), Said()
    slack = channels(Alerts(slack="https://hooks.example/x"), net, Path())["slack"]
    task = await teller(book, slack, said)
    await book.add({}, [DOWN])
    await until(lambda: said.notices)
    await until(lambda: book.first("slack") is None)
    await ended(task)
    assert len(net.got) == 3
    fields = {"channel": "slack", "alert": "destination_down", "subject": "crm"}
    assert said.notices == [("alert_untold", {**fields, "why": "500"})]


async def test_what_is_refused_for_good_is_not_tried_again(book: Book) -> None:
    net, said = Net(404), Said()
    slack = channels(Alerts(slack="https://hooks.example/x"), net, Path())["slack"]
    task = await teller(book, slack, said)
    await book.add({}, [DOWN])
    await until(lambda: said.notices)
    await ended(task)
    assert len(net.got) == 1


async def test_a_stop_waits_for_what_is_under_way_so_that_it_is_told_once(
    book: Book,
) -> None:
    asked, answers = asyncio.Event(), asyncio.Event()

    async def slow(message: Message) -> Failed | None:
        asked.set()
        await answers.wait()
        return None

    task = await teller(book, slow, Said())
    await book.add({}, [DOWN])
    await asyncio.wait_for(asked.wait(), PATIENCE_S)
    task.cancel()
    await asyncio.sleep(0.05)
    assert not task.done()
    answers.set()
    await asyncio.wait([task], timeout=PATIENCE_S)
    assert task.cancelled()
    assert book.first("slack") is None


async def test_a_stop_does_not_wait_for_ever(book: Book, monkeypatch) -> None:
    monkeypatch.setattr(tell, "GRACE_S", 0.05)
    asked = asyncio.Event()

    async def hangs(message: Message) -> Failed | None:
        asked.set()
        await asyncio.Event().wait()
        return None

    task = await teller(book, hangs, Said())
    await book.add({}, [DOWN])
    await asyncio.wait_for(asked.wait(), PATIENCE_S)
    await ended(task)
    assert book.first("slack") == DOWN  # it is told after the restart


# what a restart finds


async def test_a_restart_knows_what_was_told_and_tells_what_was_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "alerts.json"
    first = Book(path, ["slack", "webhook"])
    await first.open(AT_MS)
    trouble = Trouble(since_ms=AT_MS, told=True, calm_ms=AT_MS + 5)
    pending = Trouble(since_ms=AT_MS)
    await first.add({("lag", "crm"): trouble, ("lag", "erp"): pending}, [DOWN])
    await first.told("webhook", DOWN)
    await first.close()

    again = Book(path, ["slack", "webhook"])
    await again.open(AT_MS + 60_000)
    assert again.troubles == {("lag", "crm"): trouble}
    assert again.first("slack") == DOWN
    assert again.first("webhook") is None
    await again.close()


async def test_what_is_a_day_old_is_no_news(tmp_path: Path) -> None:
    book = Book(tmp_path / "alerts.json", ["slack"])
    await book.open(AT_MS)
    await book.add({}, [DOWN])
    await book.close()
    again = Book(tmp_path / "alerts.json", ["slack"])
    await again.open(AT_MS + 86_400_000)
    assert again.first("slack") is None
    await again.close()


async def test_only_one_process_tells(book: Book, tmp_path: Path) -> None:
    other = Book(tmp_path / "data" / "alerts.json", ["slack"])
    assert not await other.open(AT_MS)
    book._release()
    assert await other.open(AT_MS)
    await other.close()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"troubles": [{}], "waiting": {}}'])
async def test_a_damaged_state_is_named_and_begun_anew(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "alerts.json"
    path.write_text(text)
    book = Book(path, ["slack"])
    assert await book.open(AT_MS)
    assert "alerts.json: is not what was written" in (book.damaged or "")
    await book.add({}, [DOWN])
    await book.close()
    again = Book(path, ["slack"])
    await again.open(AT_MS)
    assert (again.damaged, again.first("slack")) == (None, DOWN)
    await again.close()


async def test_a_file_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a folder is meant")
    book = Book(tmp_path / "data" / "alerts.json", ["slack"])
    with pytest.raises(StateError, match=r"alerts\.json"):
        await book.open(AT_MS)
    await book.close()


async def test_messages_that_wait_are_bounded(book: Book) -> None:
    many = [sample(AT_MS + n) for n in range(WAITING_MAX + 7)]
    assert await book.add({}, many) == 7
    assert book.first("slack") == many[7]


async def test_a_look_without_news_writes_nothing(book: Book, tmp_path: Path) -> None:
    await book.add({("lag", "crm"): Trouble(since_ms=AT_MS)}, [])
    assert not (tmp_path / "data" / "alerts.json").exists()
