"""What the control socket can ask of the daemon."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from edgetwin.core.errors import EdgetwinError
from edgetwin.core.frame import AlarmRequest, ModeRequest
from edgetwin.core.plan import SECOND, AlarmAction, Mode
from edgetwin.core.reading import Instant
from edgetwin.core.units import UnitError, format_duration, parse_duration
from edgetwin.runtime.field import Field
from edgetwin.runtime.report import alarms

_SHELF = (SECOND, 7 * 86_400 * SECOND)
_MOST_TAGS = 10_000


class Requests:
    """Answers ``status``, ``tags``, ``mode`` and ``alarm``; anything else is refused by name."""

    def __init__(
        self, field: Field, now: Callable[[], Instant], status: Callable[[], dict[str, Any]]
    ) -> None:
        self._field = field
        self._now = now
        self._handlers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "status": lambda _: status(),
            "tags": self._tags,
            "mode": self._mode,
            "alarm": self._alarm,
        }

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked.

        Raises:
            EdgetwinError: it cannot be done; the message says why.
        """
        handler = self._handlers.get(str(request.get("do")))
        if handler is None:
            raise EdgetwinError(
                f"unknown request {request.get('do')!r}: status, tags, mode or alarm"
            )
        return handler(request)

    def _tags(self, request: dict[str, Any]) -> dict[str, Any]:
        engine, now = self._field.engine, self._now()
        pattern = str(request.get("pattern", "*"))
        names = {engine.plan.tags.find(name): name for name in engine.plan.tags.names}
        found = {
            index
            for name in engine.plan.tags.names
            if fnmatchcase(name, pattern) and (index := engine.plan.tags.find(name)) is not None
        }
        if not found:
            raise EdgetwinError(
                f"no tag is called {pattern!r}; 'edgetwin tags' lists all {len(names)}"
            )
        states = [engine.twin.state(tag, now) for tag in sorted(found)[:_MOST_TAGS]]
        return {
            "tags": [
                {
                    "name": state.name,
                    "value": None if state.value != state.value else state.value,
                    "unit": state.unit,
                    "quality": state.quality.words,
                    "source_time": state.source_time,
                    "arrival_time": state.arrival_time,
                    "age_ms": None if state.age < 0 else state.age // 1_000_000,
                }
                for state in states
            ]
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
