"""A set of sequence numbers, kept as runs without a hole: most sets are one run."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class Runs:
    """Whole numbers as ascending runs (first, last), both included, that do not touch."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def add(self, first: int, last: int) -> int:
        """Put in first … last; how many of them were not there yet."""
        if last < first:
            return 0
        begin = bisect_left(self._lasts, first - 1)
        end = bisect_right(self._firsts, last + 1)
        there = sum(
            max(0, min(last, self._lasts[i]) - max(first, self._firsts[i]) + 1)
            for i in range(begin, end)
        )
        if begin < end:
            joined = min(first, self._firsts[begin]), max(last, self._lasts[end - 1])
        else:
            joined = first, last
        self._firsts[begin:end], self._lasts[begin:end] = [joined[0]], [joined[1]]
        return last - first + 1 - there

    def update(self, other: "Runs") -> int:
        """Put in all numbers of another set; how many were not there yet."""
        return sum(self.add(first, last) for first, last in other)

    def holes(self, until: int) -> Iterator[tuple[int, int]]:
        """The runs that lack between 1 and ``until``, both included."""
        begin = 1
        for first, last in self:
            if begin < first and begin <= until:
                yield begin, min(first - 1, until)
            begin = last + 1
        if begin <= until:
            yield begin, until

    @property
    def highest(self) -> int:
        """The highest number there is, 0 if there is none."""
        return self._lasts[-1] if self._lasts else 0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """The runs, ascending."""
        return zip(self._firsts, self._lasts, strict=True)

    def __len__(self) -> int:
        """How many numbers there are."""
        return sum(last - first + 1 for first, last in self)

    def __contains__(self, number: int) -> bool:
        """Whether a number is there."""
        place = bisect_right(self._firsts, number) - 1
        return place >= 0 and number <= self._lasts[place]
