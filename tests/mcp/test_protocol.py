"""What is said on the wire, in both manners of the protocol."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import __version__
from gateway.mcp.protocol import HANDSHAKE, STATELESS, Answered, Server

TOOLS = [{"name": "explain", "inputSchema": {"type": "object"}}]
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def call(name: str, given: Any) -> Answered | None:
    if name != "explain":
        return None
    return Answered(json.dumps(given), failed="bad" in given)


SERVER = Server(TOOLS, call)


def said(message: Any) -> Any:
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    answer = SERVER.answer(data)
    return None if answer is None else json.loads(answer)


def ask(method: str, number: Any = 1, **params: Any) -> Any:
    return said({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


# the handshake


@pytest.mark.parametrize("version", HANDSHAKE)
def test_the_clients_version_is_spoken_if_it_is_known(version: str) -> None:
    result = ask("initialize", protocolVersion=version)["result"]
    assert result["protocolVersion"] == version
    assert result["capabilities"] == {"tools": {"listChanged": False}}
    assert result["serverInfo"] == {"name": "gateway", "version": __version__}


@pytest.mark.parametrize("version", ["2026-07-28", "1.0", None, 7])
def test_another_version_is_answered_with_the_newest_of_the_handshake(
    version: Any,
) -> None:
    result = ask("initialize", protocolVersion=version)["result"]
    assert result["protocolVersion"] == HANDSHAKE[0]


def test_tools_are_listed_and_called() -> None:
    assert ask("tools/list")["result"] == {"tools": TOOLS}
    result = ask("tools/call", name="explain", arguments={"a": 1})["result"]
    assert result == {
        "content": [{"type": "text", "text": '{"a": 1}'}],
        "isError": False,
    }
    assert ask("tools/call", name="explain", arguments={"bad": 1})["result"]["isError"]
    assert ask("tools/call", name="explain")["result"]["isError"] is False
    assert ask("ping") == {"jsonrpc": "2.0", "id": 1, "result": {}}


# without a handshake


def test_who_says_its_version_with_each_request_needs_no_handshake() -> None:
    result = ask("server/discover", _meta=META)["result"]
    assert result["supportedVersions"] == [*STATELESS, *HANDSHAKE]
    assert result["capabilities"] == {"tools": {}}
    assert result["resultType"] == "complete"
    assert (result["cacheScope"], result["ttlMs"] > 0) == ("private", True)
    named = result["_meta"]["io.modelcontextprotocol/serverInfo"]
    assert named["name"] == "gateway"
    listed = ask("tools/list", _meta=META)["result"]
    assert (listed["tools"], listed["resultType"]) == (TOOLS, "complete")
    called = ask("tools/call", name="explain", arguments={}, _meta=META)["result"]
    assert called["resultType"] == "complete"
    assert "ttlMs" not in called


def test_a_version_that_is_not_spoken_is_told_with_those_that_are() -> None:
    meta = {**META, "io.modelcontextprotocol/protocolVersion": "2099-01-01"}
    error = ask("tools/list", _meta=meta)["error"]
    assert error["code"] == -32022
    assert error["data"] == {
        "supported": [*STATELESS, *HANDSHAKE],
        "requested": "2099-01-01",
    }


# what is wrong


@pytest.mark.parametrize(
    ("message", "code", "number"),
    [
        (b"{", -32700, None),
        (b'"x"', -32600, None),
        (b"[]", -32600, None),
        ({"jsonrpc": "2.0", "id": None, "method": "ping"}, -32600, None),
        ({"jsonrpc": "2.0", "id": True, "method": "ping"}, -32600, None),
        ({"jsonrpc": "1.0", "id": 4, "method": "ping"}, -32600, 4),
        ({"jsonrpc": "2.0", "id": 4}, -32600, 4),
        ({"jsonrpc": "2.0", "id": "a", "method": "resources/list"}, -32601, "a"),
        ({"jsonrpc": "2.0", "id": 4, "method": "ping", "params": []}, -32602, 4),
        ({"jsonrpc": "2.0", "id": 4, "method": "tools/call"}, -32602, 4),
        (
            {
                "jsonrpc": "2.0",
                "id": 4,
                "method": "tools/call",
                "params": {"name": "explain", "arguments": [1]},
            },
            -32602,
            4,
        ),
    ],
)
def test_what_is_no_request_is_an_error(message: Any, code: int, number: Any) -> None:
    answer = said(message)
    assert (answer["error"]["code"], answer["id"]) == (code, number)


def test_an_unknown_tool_names_those_that_there_are() -> None:
    error = ask("tools/call", name="drop")["error"]
    assert error["code"] == -32602
    assert error["message"] == "drop: no such tool; there are: explain"


@pytest.mark.parametrize(
    "message",
    [
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": 7},
        {"jsonrpc": "2.0", "id": 9, "result": {}},
        {"jsonrpc": "2.0", "id": 9, "error": {"code": 1, "message": "x"}},
    ],
)
def test_what_asks_nothing_is_not_answered(message: Any) -> None:
    assert said(message) is None


def test_a_batch_is_answered_as_one() -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert [each["id"] for each in said([ping, note, {**ping, "id": 2}])] == [1, 2]
    assert said([note]) is None
    assert said([ping] * 51)["error"]["code"] == -32600


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["jsonrpc", "id", "method", "params", "name", "_meta"]),
            inner | st.sampled_from(["2.0", "tools/call", "initialize", "explain"]),
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(JSONS | st.binary(max_size=20))
def test_whatever_comes_is_answered_with_jsonrpc_or_with_nothing(message: Any) -> None:
    answer = said(message)
    if isinstance(answer, dict):
        assert answer["jsonrpc"] == "2.0"
        assert ("result" in answer) != ("error" in answer)
    else:
        assert answer is None or all(each["jsonrpc"] == "2.0" for each in answer)
