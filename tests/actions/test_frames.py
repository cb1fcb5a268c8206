"""What is said through the socket pair: one frame a line, whatever the pieces are."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest

from gateway.actions import frames
from gateway.actions.frames import Frames


class End(NamedTuple):
    """Our end, and the raw one of the other side."""

    ours: Frames
    other: socket.socket
    heard: list[tuple[str, Any]]
    lost: asyncio.Event


@pytest.fixture
async def end() -> AsyncIterator[End]:
    one, other = socket.socketpair()
    one.settimeout(0)
    other.settimeout(0)
    heard: list[tuple[str, Any]] = []
    lost = asyncio.Event()

    def hear(name: str, frame: dict[str, Any]) -> None:
        heard.append((name, frame))
        if name == "fetch":
            frame["call"]

    ours = Frames(hear, lost.set)
    await asyncio.get_running_loop().create_connection(lambda: ours, sock=one)
    yield End(ours, other, heard, lost)
    ours.close()
    other.close()
    await lost.wait()


def test_lines_may_come_in_any_pieces() -> None:
    heard: list[tuple[str, Any]] = []
    ours = Frames(lambda name, frame: heard.append((name, frame)), lambda: None)
    whole = b'{"a":{"x":"\xc3\xa9"}}\n{"b":{}}\n{"c":{}}\n'
    for size in (1, 2, 3, 7, len(whole)):
        heard.clear()
        for at in range(0, len(whole), size):
            ours.data_received(whole[at : at + size])
        assert heard == [("a", {"x": "é"}), ("b", {}), ("c", {})]


async def test_what_is_said_in_one_turn_leaves_together(end: End) -> None:
    loop = asyncio.get_running_loop()
    end.ours.say("call", {"id": 1})
    end.ours.say("call", {"id": 2, "text": "a\nb"})
    data = await loop.sock_recv(end.other, 1_000)
    assert data == b'{"call":{"id":1}}\n{"call":{"id":2,"text":"a\\nb"}}\n'


@pytest.mark.parametrize(
    "line",
    [b"{", b"[]", b"7", b'{"a":{},"b":{}}', b"{}", b'{"fetch":{}}', b'{"fetch":7}'],
)
async def test_what_is_no_frame_ends_the_talk(end: End, line: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(end.other, line + b"\n")
    await end.lost.wait()


async def test_a_line_without_an_end_ends_the_talk(
    end: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "FRAME_BYTES_MAX", 1_000)
    await asyncio.get_running_loop().sock_sendall(end.other, b"x" * 2_000)
    await end.lost.wait()
    assert end.heard == []


async def test_nothing_is_said_to_who_is_gone(end: End) -> None:
    end.other.close()
    await end.lost.wait()
    end.ours.say("call", {"id": 1})
    end.ours.close()
