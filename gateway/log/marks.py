"""Marks: which records of one partition a group has settled.

A low-water mark (everything below it is settled) and the settled runs above it. What
comes in: offsets, in any order, and gaps (offsets that hold no record). What goes out:
the same as a short text that fits in the metadata of a Kafka commit. Pure.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Marks:
    """The settled offsets of one group in one partition.

    ``above`` counts the settled offsets above ``mark``, so that what is left up to an
    end is ``end - mark - above``: no walk over the records.
    """

    __slots__ = ("_starts", "_stops", "above", "mark")

    def __init__(self, mark: int = 0) -> None:
        self.mark = mark
        self.above = 0
        self._starts: list[int] = []
        self._stops: list[int] = []

    @property
    def runs(self) -> int:
        """Settled runs above the mark."""
        return len(self._starts)

    @property
    def top(self) -> int:
        """Above the highest settled offset."""
        return self._stops[-1] if self._stops else self.mark

    def copy(self) -> "Marks":
        """An independent copy: published marks are never changed, only replaced."""
        copy = Marks(self.mark)
        copy.above = self.above
        copy._starts = self._starts.copy()
        copy._stops = self._stops.copy()
        return copy

    def settle(self, offset: int) -> None:
        """Mark one offset as done; doing it again changes nothing."""
        self.skip(offset, offset + 1)

    def settle_all(self, offsets: Iterable[int]) -> None:
        """Mark many, neighbours together."""
        start = stop = -1
        for offset in sorted(offsets):
            if offset > stop:
                self.skip(start, stop)
                start = offset
            stop = offset + 1
        self.skip(start, stop)

    def skip(self, start: int, stop: int) -> None:
        """Pass ``[start, stop)``: settled, or a gap that no record will ever fill."""
        start = max(start, self.mark)
        if stop <= start:
            return
        starts, stops = self._starts, self._stops
        i, j = bisect_left(stops, start), bisect_right(starts, stop)
        if i < j:  # runs i..j touch the new one: they become one
            start, stop = min(start, starts[i]), max(stop, stops[j - 1])
            self.above -= sum(stops[i:j]) - sum(starts[i:j])
        if start == self.mark:
            self.mark = stop
            del starts[i:j], stops[i:j]
        else:
            starts[i:j], stops[i:j] = [start], [stop]
            self.above += stop - start

    def is_settled(self, offset: int) -> bool:
        """True for everything below the mark and in a run."""
        if offset < self.mark:
            return True
        i = bisect_right(self._starts, offset) - 1
        return i >= 0 and offset < self._stops[i]

    def settled(self) -> Iterator[tuple[int, int]]:
        """The runs above the mark as ``[start, stop)``, lowest first."""
        return zip(self._starts, self._stops, strict=True)

    def unsettled(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """What is left of ``[start, stop)``, as ranges, lowest first."""
        start = max(start, self.mark)
        i = bisect_right(self._stops, start)
        for run_start, run_stop in zip(self._starts[i:], self._stops[i:], strict=True):
            if run_start >= stop:
                break
            if start < run_start:
                yield start, run_start
            start = run_stop
        if start < stop:
            yield start, stop

    def newest(self, first: int, limit: int) -> list[tuple[int, int]]:
        """The highest settled ranges from ``first`` up that hold ``limit`` offsets."""
        ranges: list[tuple[int, int]] = []
        for start, stop in reversed([(first, self.mark), *self.settled()]):
            if limit > 0 and start < stop:
                ranges.append((max(start, stop - limit), stop))
                limit -= stop - start
        return ranges[::-1]

    def encode(self) -> str:
        """The runs as text: ``GAP.LENGTH`` each in base 36, a length of 1 left out.

        The mark is not in it: it is stored as the committed offset.
        """
        parts, end = [], self.mark
        for start, stop in zip(self._starts, self._stops, strict=True):
            gap, length = _base36(start - end), stop - start
            parts.append(gap if length == 1 else f"{gap}.{_base36(length)}")
            end = stop
        return ",".join(parts)

    @classmethod
    def decode(cls, mark: int, text: str) -> "Marks":
        """The marks that ``encode`` wrote; ValueError for another text."""
        marks = cls(mark)
        end = mark
        for part in text.split(",") if text else ():
            gap, dot, length = part.partition(".")
            start = end + int(gap, 36)
            stop = start + (int(length, 36) if dot else 1)
            if not end < start < stop:
                raise ValueError(f"not marks: {text[:100]!r}")
            marks.skip(start, stop)
            end = stop
        return marks


def _base36(number: int) -> str:
    if number < len(DIGITS):
        return DIGITS[number]
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = DIGITS[digit] + digits
    return digits
