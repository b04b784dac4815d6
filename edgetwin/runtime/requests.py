"""What the control socket can ask of the daemon."""

import json
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from edgetwin.core.errors import EdgetwinError
from edgetwin.core.frame import AlarmRequest, ModeRequest
from edgetwin.core.plan import SECOND, AlarmAction, Mode
from edgetwin.core.reading import Instant
from edgetwin.core.units import UnitError, format_duration, parse_duration
from edgetwin.runtime.field import Field
from edgetwin.runtime.report import alarms
from edgetwin.status.control import Answer

_SHELF = (SECOND, 7 * 86_400 * SECOND)
_MOST_TAGS = 10_000
_SLICE = 100

_Item = TypeVar("_Item")


class Requests:
    """Answers ``status``, ``tags``, ``mode`` and ``alarm``; anything else is refused by name."""

    def __init__(
        self, field: Field, now: Callable[[], Instant], status: Callable[[], dict[str, Any]]
    ) -> None:
        self._field = field
        self._now = now
        self._handlers: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "status": lambda _: status(),
            "tags": self._tags,
            "mode": self._mode,
            "alarm": self._alarm,
        }

    def answer(self, request: dict[str, Any]) -> Answer:
        """Do what is asked; a long answer is JSON text in parts.

        Raises:
            EdgetwinError: it cannot be done; the message says why.
        """
        handler = self._handlers.get(str(request.get("do")))
        if handler is None:
            raise EdgetwinError(
                f"unknown request {request.get('do')!r}: status, tags, mode or alarm"
            )
        return handler(request)

    def _tags(self, request: dict[str, Any]) -> Iterator[bytes]:
        """All tags that a pattern fits: found, looked up and written a few at a time."""
        tags, pattern = self._field.engine.plan.tags, str(request.get("pattern", "*"))
        found: set[int] = set()
        for some in _sliced(tags.names):
            places = (tags.find(name) for name in some if fnmatchcase(name, pattern))
            found.update(index for index in places if index is not None)
            yield b""
        if not found:
            text = f"no tag is called {pattern!r}; 'edgetwin tags' lists all {len(tags)}"
            yield json.dumps({"error": text}).encode()
            return
        comma = b""
        yield b'{"tags": ['
        for indices in _sliced(sorted(found)[:_MOST_TAGS]):
            rows = [self._tag(index) for index in indices]
            yield comma + json.dumps(rows)[1:-1].encode()
            comma = b", "
        yield b"]}"

    def _tag(self, index: int) -> dict[str, Any]:
        state = self._field.engine.twin.state(index, self._now())
        named = dict[object, str](self._field.engine.plan.tags[index].states).get(state.value)
        return {
            "name": state.name,
            **({"state": named} if named else {}),
            "value": None if state.value != state.value else state.value,
            "unit": state.unit,
            "quality": state.quality.words,
            "source_time": state.source_time,
            "arrival_time": state.arrival_time,
            "age_ms": None if state.age < 0 else state.age // 1_000_000,
        }

    def _mode(self, request: dict[str, Any]) -> dict[str, Any]:
        loops = self._field.engine.loops
        names = [loop.plan.name for loop in loops]
        name, mode = str(request.get("loop")), str(request.get("mode"))
        if name not in names:
            known = ", ".join(names) or "none"
            raise EdgetwinError(f"no loop is called {name!r}. Loops here: {known}")
        if mode not in set(Mode):
            raise EdgetwinError(f"{mode!r} is no mode of a loop: {', '.join(Mode)}")
        by = str(request.get("by", "technician"))[:64]
        index = names.index(name)
        frame = self._field.turn(ModeRequest(index, Mode(mode), by))
        loop = loops[index]
        return {
            "loop": name,
            "mode": str(loop.mode),
            "state": loop.state_words,
            "events": [event.text for event in frame.events],
        }

    def _alarm(self, request: dict[str, Any]) -> dict[str, Any]:
        """``show``, or do something about every alarm whose name fits."""
        engine = self._field.engine
        name, action = str(request.get("name", "*")), str(request.get("action", "show"))
        plans = engine.annunciator.plans
        found = [i for i, plan in enumerate(plans) if self._fits(plan.name, name)]
        if not found:
            known = ", ".join(plan.name for plan in plans[:20]) or "none"
            raise EdgetwinError(f"no alarm is called {name!r}. Alarms here: {known}")
        events: list[str] = []
        if action != "show":
            if action not in set(AlarmAction):
                raise EdgetwinError(f"{action!r} cannot be done: {', '.join(AlarmAction)}")
            span, by = _shelf_time(action, request), str(request.get("by", "technician"))[:64]
            for index in found:
                asked = AlarmRequest(index, AlarmAction(action), span, by)
                events += (event.text for event in self._field.turn(asked).events)
        names = {plans[index].name for index in found}
        return {"events": events, "alarms": [a for a in alarms(engine) if a["name"] in names]}

    def _fits(self, alarm: str, asked: str) -> bool:
        """Whether an alarm is meant: by its name, a pattern, or another name of its tag."""
        if fnmatchcase(alarm, asked):
            return True
        tags = self._field.engine.plan.tags
        tag, _, last = asked.rpartition(".")
        index = tags.find(tag)
        return index is not None and alarm == f"{tags[index].name}.{last}"


def _sliced(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """So many at a time as take less than a millisecond."""
    for start in range(0, len(items), _SLICE):
        yield items[start : start + _SLICE]


def _shelf_time(action: str, request: dict[str, Any]) -> int:
    """How long an alarm stays on the shelf; 0 for what needs no time."""
    if action != AlarmAction.SHELVE:
        return 0
    try:
        span = parse_duration(str(request.get("span", "")))
    except UnitError as error:
        raise EdgetwinError(f"say for how long, like shelve 1 h: {error}") from error
    if not _SHELF[0] <= span <= _SHELF[1]:
        bounds = " to ".join(map(format_duration, _SHELF))
        raise EdgetwinError(f"an alarm is shelved for {bounds}, not {format_duration(span)}")
    return span
