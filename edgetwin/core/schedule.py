"""A grid of due times that never drifts and never queues what it missed.

Due times are start + offset + k * period on the monotonic clock. After a late wake-up the grid goes
on at the next due time still ahead; the ones passed by are counted, never made up for.
"""

from typing import NamedTuple


class Due(NamedTuple):
    """The next due time (monotonic ns) and how many were passed by."""

    at: int
    missed: int


def next_due(previous: int, period: int, now: int) -> Due:
    """The due time after ``previous`` that is not yet over at ``now``. All in ns."""
    following = previous + period
    if following > now:
        return Due(following, 0)
    missed = (now - following) // period + 1
    return Due(following + missed * period, missed)
