"""The challenger: a second opinion on a machine, by what is normal for its type in a whole fleet.

It looks at each window that is summed up anyway and only counts: it never alarms and never writes.
What it says stands beside what the machine's own detector said in the same window:

    both   neither   only the challenger   only the detector

So a person sees whether the fleet's idea of normal would serve this machine. One that was worn
already when its own detector learned is one that only the challenger notices.
"""

from collections import Counter
from dataclasses import dataclass

from edgetwin.core.event import Event, EventKind
from edgetwin.core.ranges import Ranges
from edgetwin.core.summary import Columns, Summary
from edgetwin.core.tags import TagTable, TypedAsset

_MS = 1_000_000
_SLACK = 0.1  # of a window: clocks are set, and the first window of a run is short


@dataclass(slots=True)
class Agreement:
    """How many windows were judged, and by whom they were found not normal."""

    both: int = 0
    neither: int = 0
    challenger: int = 0
    detector: int = 0

    @property
    def windows(self) -> int:
        """All of them."""
        return self.both + self.neither + self.challenger + self.detector

    def count(self, *, ours: bool, theirs: bool) -> None:
        """One window: whether the challenger and the detector found it not normal."""
        if ours and theirs:
            self.both += 1
        elif ours:
            self.challenger += 1
        elif theirs:
            self.detector += 1
        else:
            self.neither += 1


class Challenger:
    """Judges one machine. ``every`` ns: how often an event tells how the two agreed.

    ``total`` is the agreement since the start, ``ranges`` what it judges by: None, nothing yet.
    """

    def __init__(self, asset: TypedAsset, tags: TagTable, every: int) -> None:
        self.asset = asset
        self.ranges: Ranges | None = None
        self.total = Agreement()
        self._tags = tags
        self._every = every
        self._lately = Agreement()
        self._outside: Counter[str] = Counter()
        self._since: int | None = None
        self._sets: dict[str, dict[int, int]] = {}

    def install(self, ranges: Ranges) -> bool:
        """Judge by these from now on. False: those in use are as new, or newer."""
        if self.ranges is not None and ranges.made <= self.ranges.made:
            return False
        self.ranges = ranges
        return True

    def judge(self, done: Summary) -> Event | None:
        """One window. An event when it is time to tell."""
        if self.ranges is None or not self._fits(done, self.ranges):
            return None
        places = self._places(done.set)
        known = [(name, places[i]) for name, i in self.asset.tags.items() if i in places]
        outside = [
            name
            for name, place in known
            if (edges := self.ranges.tags.get(name)) and not edges.hold(*_seen(done.tags, place))
        ]
        self._outside.update(outside)
        verdict = places.get(self.asset.verdict)
        theirs = verdict is not None and bool(done.tags.maximum[verdict] > 0)
        for agreement in (self.total, self._lately):
            agreement.count(ours=bool(outside), theirs=theirs)
        if self._since is None:
            self._since = done.begin
        over = abs(done.end - self._since) >= self._every  # a clock set back delays nothing
        return self._tell(self.ranges) if over else None

    def _fits(self, done: Summary, ranges: Ranges) -> bool:
        """Whether this window is as long as those that the ranges were made from, and ours."""
        length = ranges.window * _MS
        if abs(done.end - done.begin - length) > _SLACK * length:
            return False
        return not self._places(done.set).keys().isdisjoint(self.asset.tags.values())

    def _places(self, of: str) -> dict[int, int]:
        """Where in the columns of a set each of its tags stands."""
        if of not in self._sets:
            own = [tag.index for tag in self._tags if tag.summary == of]
            self._sets[of] = {index: place for place, index in enumerate(own)}
        return self._sets[of]

    def _tell(self, ranges: Ranges) -> Event:
        lately, self._lately = self._lately, Agreement()
        worst, self._outside = self._outside.most_common(1), Counter()
        self._since = None
        name, kind = self.asset.name, self.asset.type
        text = (
            f"{name}: in {lately.windows} windows only the fleet of {kind} ({ranges.assets} "
            f"machines) found {lately.challenger} not normal, only its own detector "
            f"{lately.detector}, both {lately.both}"
        )
        if worst:
            text += f". Most often outside: {worst[0][0]}"
        facts = (
            ("windows", lately.windows),
            ("both", lately.both),
            ("neither", lately.neither),
            ("challenger", lately.challenger),
            ("detector", lately.detector),
            ("tag", worst[0][0] if worst else ""),
            ("assets", ranges.assets),
            ("made", ranges.made),
        )
        return Event(EventKind.CHALLENGER, name, text, facts)


def _seen(tags: Columns, place: int) -> tuple[float, float, float]:
    columns = (tags.minimum, tags.mean, tags.maximum)
    minimum, mean, maximum = (float(column[place]) for column in columns)
    return minimum, mean, maximum
