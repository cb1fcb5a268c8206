"""What an outcome tells of the attempts before it."""

from typing import Any

from gateway.outbound.contract import Delivered, Exchange, Rejected, Retry
from tests.whole import until


async def test_an_outcome_after_failures_tells_of_each_attempt(
    bench: Any, recorder: Any, entry: Any
) -> None:
    crm = recorder()
    answers = [Retry("503", status=503), Retry("TimeoutError"), Delivered(200)]
    crm.answer = lambda _: answers.pop(0)
    async with bench.open():
        await bench.log.append([entry(1, "u1")])
        async with bench.running(crm):
            await bench.settled(1)
        (told,) = await bench.outcomes()
    assert (told["kind"], told["attempts"]) == ("delivered", 3)
    assert [(each["status"], each["error"]) for each in told["tries"]] == [
        (503, "503"),
        (None, "TimeoutError"),
        (200, None),
    ]
    assert told["tries"][0]["at"] == told["firstAttemptAt"]
    assert all(each["ms"] >= 0 for each in told["tries"])


async def test_an_outcome_tells_of_the_last_attempts_of_many(
    bench: Any, recorder: Any, entry: Any
) -> None:
    crm = recorder()
    answers = [*(Retry(str(number)) for number in range(30)), Rejected("rejected")]
    crm.answer = lambda _: answers.pop(0)
    async with bench.open():
        await bench.log.append([entry(1, "u1")])
        async with bench.running(crm, retry_base_s=0.001, probe_every_s=0.001):
            await bench.settled(1)
        (told,) = await bench.outcomes()
    assert told["attempts"] == 31
    errors = [each["error"] for each in told["tries"]]
    assert errors == [*map(str, range(11, 30)), "rejected"]


async def test_an_outcome_of_one_good_attempt_has_no_list(
    bench: Any, recorder: Any, entry: Any
) -> None:
    async with bench.open():
        await bench.log.append([entry(1, "u1")])
        async with bench.running(recorder()):
            await bench.settled(1)
        (told,) = await bench.outcomes()
    assert "tries" not in told


async def test_an_event_that_is_tried_again_tells_of_its_attempts_so_far(
    bench: Any, recorder: Any, entry: Any
) -> None:
    crm = recorder()
    exchange = Exchange({"method": "POST"}, {"status": 503})
    answers = [
        Retry("TimeoutError"),
        Retry("503", status=503, exchange=exchange, after_s=3_600.0),
    ]
    crm.answer = lambda _: answers.pop(0)
    async with bench.open():
        sent = [entry(1, "u1"), entry(1, "u1", replay="r1"), entry(2, "u1")]
        await bench.log.append(sent)
        received_at = dict(sent[0].headers)["receivedAt"].decode()
        async with bench.running(crm) as worker:
            await until(lambda: len(worker.tries("m1", received_at)) == 2)
            first, last = worker.tries("m1", received_at)
            assert (first["status"], first["error"]) == (None, "TimeoutError")
            assert "request" not in first
            assert (last["status"], last["error"]) == (503, "503")
            assert last["request"] == {"method": "POST"}
            assert last["response"] == {"status": 503}
            assert worker.tries("m2", received_at) == []  # it was not tried
            assert worker.tries("m1", "2020-01-01T00:00:00.000Z") == ()
        assert worker.tries("m1", received_at) == ()  # nobody holds it
