"""One POST when the log is away, too much comes, or a sender is slow, in process."""

import asyncio
import contextlib
import gc
import http.client
import json
import time

from gateway.inbound.serve import connection
from tests.inbound.house import GOOD


async def test_a_log_that_is_away_is_503_soon_to_be_retried(house):
    house.log.away = True
    status, body, headers = await house.post("/v1/i", GOOD)
    assert (status, body["code"]) == (503, "log_unavailable")
    assert headers["Retry-After"] == "1"
    status, body, _ = await house.post("/v1/i", b"{")
    assert status == 503  # the refusal could not be kept: nothing is promised
    house.log.away = False
    assert (await house.post("/v1/i", GOOD))[0] == 200
    assert house.metrics.messages["backend", "identify", "accepted"] == 1


async def test_what_is_sent_again_is_noticed_once(house):
    body = {"batch": [{**GOOD, "integrations": {"Nobody": False}}, {"type": "track"}]}
    house.log.away = True
    assert (await house.post("/v1/batch", body))[0] == 503
    assert not house.notices.counts.keys() & {"unknown_integration", "refused"}
    house.log.away = False
    assert (await house.post("/v1/batch", body))[0] == 200
    assert house.notices.counts["unknown_integration"] == 1
    assert house.notices.counts["refused"] == len(["event", "identifier"])


async def test_overload_is_told_before_the_body_is_read(house):
    house.log.room = False
    reader, writer = await asyncio.open_connection(*house.url[7:].split(":"))
    head = "POST /v1/i HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dev\r\n"
    writer.write(head.encode() + b"Content-Length: 1000\r\n\r\n")
    line = await reader.readline()
    assert line == b"HTTP/1.1 503 Service Unavailable\r\n"
    writer.close()


async def test_one_sdk_must_not_be_able_to_read_a_refusal_for_later(house):
    """CLIENTS §4.10: the Customer.io browser SDK takes any readable answer for done."""
    house.log.away = True
    origin = "https://shop.example"
    body = {**GOOD, "writeKey": "web"}
    simple = {"Origin": origin, "Content-Type": "text/plain"}
    status, _, headers = await house.post("/v1/i", body, key=None, **simple)
    assert status == 503
    assert "Access-Control-Allow-Origin" not in headers
    _, _, headers = await house.post("/v1/i", body, key="web", **simple)
    assert headers["Access-Control-Allow-Origin"] == origin


async def test_rate_is_429_with_a_small_integer(house):
    assert (await house.post("/v1/b", {"batch": [GOOD] * 30}, key="slow"))[0] == 200
    status, body, headers = await house.post("/v1/i", GOOD, key="slow")
    assert (status, body["code"]) == (429, "rate_limited")
    assert 1 <= int(headers["Retry-After"]) <= 30
    assert (await house.post("/v1/i", GOOD, key="dev"))[0] == 200  # its own budget


async def test_a_slow_sender_is_cut_off_and_others_are_served(house, monkeypatch):
    monkeypatch.setattr(connection, "LINGER_SECONDS", 0.2)
    house.receiver.read_s = 0.2
    reader, writer = await asyncio.open_connection(*house.url[7:].split(":"))
    head = "POST /v1/i HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dev\r\n"
    writer.write(head.encode() + b"Content-Length: 1000\r\n\r\n{")
    assert (await house.post("/v1/i", GOOD))[0] == 200
    async with asyncio.timeout(10):
        assert await reader.read() == b""  # closed, nothing promised
    writer.close()
    assert house.receiver.reading_bytes == 0


async def test_half_read_bodies_together_have_a_bound(house):
    house.receiver.reading_bytes_max = 50_000
    writers = []
    for _ in range(6):
        reader, writer = await asyncio.open_connection(*house.url[7:].split(":"))
        head = "POST /v1/i HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dev\r\n"
        writer.write(head.encode() + b"Content-Length: 20000\r\n\r\n" + b" " * 9_000)
        writers.append((reader, writer))
    async with asyncio.timeout(10):
        line = await writers[-1][0].readline()
    assert line == b"HTTP/1.1 503 Service Unavailable\r\n"
    for _, writer in writers:
        writer.close()


async def test_2500_invalid_messages_never_stall_the_loop(house):
    """The cause of a stall is time on the CPU: measured so, other processes aside."""
    bad = [{"type": "identify", "userId": {}, "traits": []} for _ in range(2_500)]
    body = json.dumps({"batch": bad}).encode()
    longest_s, done = 0.0, False

    async def watch() -> None:
        nonlocal longest_s
        last = time.thread_time()
        while not done:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest_s, last = max(longest_s, now - last), now

    def post() -> tuple[int, bytes]:  # on a thread of its own: not the loop's time
        client = http.client.HTTPConnection(house.url[7:], timeout=30)
        client.request("POST", "/v1/batch", body, {"Authorization": "Bearer dev"})
        with contextlib.closing(client):
            response = client.getresponse()
            return response.status, response.read()

    gc.collect()
    gc.freeze()  # as the gateway does at its start: this process is full of tests
    watching = asyncio.create_task(watch())
    status, answer = await asyncio.to_thread(post)
    done = True
    await watching
    gc.unfreeze()
    told = json.loads(answer)
    assert (status, told["accepted"], len(told["rejected"])) == (400, 0, 2_500)
    print(f"longest stall {longest_s * 1000:.1f} ms")
    assert longest_s < 0.05  # 6 ms, and room for a busy machine; all at once: 250 ms
