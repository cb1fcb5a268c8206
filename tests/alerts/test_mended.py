"""Dead letters that were sent again since are no trouble."""

from pathlib import Path

from gateway.alerts.look import _left, _told, _Wanted
from gateway.ledger.file import File
from tests.ledger.conftest import Desk
from tests.ledger.records import AT_MS, Made

WITHIN_MS = 900_000


def test_of_those_within_the_time_only_the_open_ones_count(tmp_path: Path) -> None:
    desk, made = Desk(File(tmp_path / "ledger.db")), Made()
    dead = [made.end(f"m{number}", kind="dead", status=400) for number in range(5)]
    again = [made.end(f"m{number}", replay="r1") for number in range(3)]
    later = [each._replace(appended_at_ms=AT_MS + 60_000) for each in again]
    desk.take(*dead, *later)
    wanted = _Wanted(WITHIN_MS, 10, dead_why=True, dead_ms=WITHIN_MS)
    told = _told(desk.ask, wanted, "life", AT_MS + 90_000)
    assert told.mended == {"crm": 3}
    assert _left({"crm": 5, "inbox": 1}, told.mended) == {"crm": 2, "inbox": 1}
    assert _left({"crm": 1}, told.mended) == {"crm": 0}  # it counts from its start
    late = _told(desk.ask, wanted, "life", AT_MS + 2 * WITHIN_MS)
    assert late.mended == {}
    desk.store.end()
