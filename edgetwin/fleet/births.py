"""What births explain: of which machines, and of which type, a summary tells."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edgetwin.fleet.ranges import Seen

_NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine in one window; ``owner`` is gateway and asset. ``sick``: its detector says so."""

    owner: str
    type: str
    tags: Mapping[str, Seen]
    sick: bool


class Births:
    """Every birth that came, by its id. Small: one for each meaning a gateway ever had."""

    def __init__(self) -> None:
        self._known: dict[str, Mapping[str, Any]] = {}

    def take(self, message: Mapping[str, Any]) -> None:
        """Keep a birth."""
        self._known[message["birth"]] = message

    def knows(self, summary: Mapping[str, Any]) -> bool:
        """Whether the birth of a summary has come."""
        return summary["birth"] in self._known

    def machines(self, gateway: str, summary: Mapping[str, Any]) -> Iterator[Machine]:
        """The machines of a type that a summary tells of, without tags that are not in its set."""
        birth = self._known[summary["birth"]]
        set_ = summary.get("set", "")
        own = [i for i, tag in enumerate(birth["tags"]) if tag.get("set", "") == set_]
        places = {index: place for place, index in enumerate(own)}
        for asset in birth.get("assets", ()):
            verdict = places.get(asset.get("verdict"))
            yield Machine(
                f"{gateway}/{asset['name']}",
                asset["type"],
                {
                    name: _seen(summary, places[index])
                    for name, index in asset["tags"].items()
                    if index in places
                },
                verdict is not None and bool(summary["max"][verdict]),
            )


def _seen(summary: Mapping[str, Any], place: int) -> Seen:
    return Seen(*(_number(summary[column][place]) for column in ("min", "mean", "max")))


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else _NAN
