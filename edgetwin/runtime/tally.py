"""What became of requests (each that was heard is counted), and how many are looked at a second."""

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

from edgetwin.core.plan import SECOND
from edgetwin.core.reading import Instant

log = logging.getLogger(__name__)

_TOLD = 3  # refusals told one by one in the log, for each reason; then they are only counted


class Tally:
    """Counts. ``heard`` is the sum of ``taken`` and all that is ``refused``."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self.heard = 0
        self.taken = 0
        self.ended: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.unanswered = 0

    def refuse(self, reason: str, text: str = "") -> None:
        """Count a refusal; the first ones of each reason are told."""
        self.refused[reason] += 1
        if self.refused[reason] > _TOLD:
            return
        more = ". More of this are only counted" if self.refused[reason] == _TOLD else ""
        words = f"{reason}: {text}" if text else reason
        log.warning("upstream %s: request refused: %s%s", self._upstream, words, more)

    def as_dict(self) -> dict[str, Any]:
        """For ``edgetwin status``."""
        return {
            "heard": self.heard,
            "taken": self.taken,
            "ended": dict(self.ended),
            "refused": dict(self.refused),
            "unanswered": self.unanswered,
        }


class Bucket:
    """So many a second, and as many at once after a quiet while."""

    def __init__(self, each_second: int, now: Callable[[], Instant]) -> None:
        self._rate = each_second
        self._left = float(each_second)
        self._now = now
        self._at = now().mono

    def spend(self) -> bool:
        """Take one out, if there is one."""
        mono = self._now().mono
        self._left = min(self._rate, self._left + (mono - self._at) * self._rate / SECOND)
        self._at = mono
        if self._left < 1:
            return False
        self._left -= 1
        return True
