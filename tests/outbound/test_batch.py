from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from gateway.outbound.batch import in_parts, json_array
from gateway.outbound.contract import Delivered, Rejected, Retry, Verdict

BAD = Rejected("rejected", "422", 422)
AWAY = Retry("503", status=503)


class Server:
    """Refuses a request that holds a bad number; away from the given request on."""

    def __init__(self, bad: set[int], away_from: int = 10**9) -> None:
        self.bad, self.away_from = bad, away_from
        self.kept: list[int] = []
        self.requests = 0

    async def send(self, part: Sequence[int]) -> Verdict:
        self.requests += 1
        if self.requests >= self.away_from:
            return AWAY
        if self.bad & set(part):
            return BAD
        self.kept += part
        return Delivered(200)


def test_a_json_array_of_json() -> None:
    assert json_array([b'{"a":1}', b"{}"]) == b'[{"a":1},{}]'


@given(st.integers(1, 60), st.sets(st.integers(0, 59)))
async def test_only_the_bad_are_refused_and_the_good_go_once_in_order(
    count: int, bad: set[int]
) -> None:
    server, items = Server(bad), list(range(count))
    verdicts = await in_parts(items, server.send)
    assert verdicts == [BAD if item in bad else Delivered(200) for item in items]
    assert server.kept == [item for item in items if item not in bad]
    assert server.requests <= 2 * count


async def test_one_bad_event_in_a_hundred_costs_few_requests() -> None:
    server = Server({42})
    await in_parts(list(range(100)), server.send)
    assert server.requests <= 2 * 7 + 1


@given(st.sets(st.integers(0, 19), min_size=1), st.integers(2, 30))
async def test_a_destination_that_goes_away_costs_one_more_request(
    bad: set[int], away_from: int
) -> None:
    server, items = Server(bad, away_from), list(range(20))
    verdicts = await in_parts(items, server.send)
    assert len(verdicts) == 20
    assert server.requests <= away_from
    for item, verdict in zip(items, verdicts, strict=True):
        if verdict == AWAY:
            assert item not in server.kept
        else:
            assert verdict == (BAD if item in bad else Delivered(200))
