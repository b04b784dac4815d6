"""What the control socket can ask of the daemon."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from edgetwin.core.errors import EdgetwinError
from edgetwin.core.frame import ModeRequest
from edgetwin.core.plan import Mode
from edgetwin.core.reading import Instant
from edgetwin.runtime.field import Field

_MOST_TAGS = 10_000


class Requests:
    """Answers ``status``, ``tags`` and ``mode``; anything else is refused by name."""

    def __init__(
        self, field: Field, now: Callable[[], Instant], status: Callable[[], dict[str, Any]]
    ) -> None:
        self._field = field
        self._now = now
        self._handlers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "status": lambda _: status(),
            "tags": self._tags,
            "mode": self._mode,
        }

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked.

        Raises:
            EdgetwinError: it cannot be done; the message says why.
        """
        handler = self._handlers.get(str(request.get("do")))
        if handler is None:
            raise EdgetwinError(f"unknown request {request.get('do')!r}: status, tags or mode")
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
