"""What is too old or too much goes, in pieces, and an account stays right."""

import pytest

from gateway.ledger import keep
from gateway.ledger.keep import tidy
from tests.ledger.records import AT_MS

MINUTE = 60_000
LARGE = 2**60


def fill(desk, made, minutes, each=20):
    for minute in range(minutes):
        at = AT_MS + minute * MINUTE
        records = []
        for number in range(each):
            name = f"m{minute}-{number}"
            records += [
                made.event(name, at=at + number),
                made.end(name, at=at + number),
                made.refused(f"r{name}", at=at + number),
            ]
        desk.take(*records)


def pieces(desk, now_ms, retention_ms, size):
    count = 0
    while tidy(desk.connection, now_ms, retention_ms, size).more:
        count += 1
        assert count < 1_000
    return count


def test_what_is_older_than_its_retention_goes_in_pieces(desk, made, monkeypatch):
    monkeypatch.setattr(keep, "PIECE_ROWS", 15)
    fill(desk, made, 10)
    now_ms = AT_MS + 10 * MINUTE
    assert pieces(desk, now_ms, 4 * MINUTE, LARGE) > 3
    dump = desk.dump()
    oldest = (now_ms - 4 * MINUTE) // MINUTE * MINUTE
    for table in ("events", "refused", "ends"):
        assert min(row[0] for row in dump[table]) >= oldest
    counted = desk.ask.counted()
    assert counted["web", "crm", 0, 0] == len(dump["events"]) == 80
    assert counted["web", "crm", 1, 0] == 80
    assert desk.ask.story("m0-0") == []
    assert desk.ask.story("m9-0")


def test_what_is_gone_does_not_come_back_by_halves(desk, made):
    """An outcome of an event that was forgotten is not kept alone."""
    fill(desk, made, 2)
    pieces(desk, AT_MS + 10 * MINUTE, MINUTE, LARGE)
    desk.take(made.end("m0-0", kind="dead"))
    assert desk.dump()["ends"] == []
    assert not desk.ask.counted()


def test_beyond_its_size_the_oldest_go_until_it_fits(desk, made, monkeypatch):
    monkeypatch.setattr(keep, "PIECE_ROWS", 50)
    fill(desk, made, 40, each=50)
    size = desk.connection.used_bytes() * 2 // 3
    for _ in range(200):
        tidy(desk.connection, AT_MS, LARGE, size)
    assert desk.connection.used_bytes() <= size
    assert desk.ask.story("m0-0") == []
    assert desk.ask.story("m39-0")
    counted = desk.ask.counted()
    assert counted["web", "crm", 0, 0] == counted["web", "crm", 1, 0] > 0


@pytest.mark.parametrize("records", [0, 3])
def test_nothing_goes_that_need_not(desk, made, records):
    desk.take(*[made.event(f"m{number}") for number in range(records)])
    assert not tidy(desk.connection, AT_MS, 2**40, LARGE).more
    assert len(desk.dump()["events"]) == records
