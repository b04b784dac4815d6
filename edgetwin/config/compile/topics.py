"""Topics: templates with the names of the plant's levels, filled in once."""

import re
from collections.abc import Mapping

from edgetwin.config.compile.draft import Draft
from edgetwin.config.node import Place
from edgetwin.config.problem import did_you_mean
from edgetwin.config.schema.hierarchy import Hierarchy

LEVELS = ("enterprise", "site", "area", "line", "cell")

_PART = re.compile(r"\{([^{}]*)\}")
_MOST_BYTES = 1000
"""Of 65,535 that MQTT has; brokers in the cloud allow less, some 256."""


def levels(section: Hierarchy | None) -> dict[str, str]:
    """The levels that are told, the highest first."""
    told = {name: getattr(section, name, None) for name in LEVELS}
    return {name: value for name, value in told.items() if value}


def fill(template: str, gateway: str, known: Mapping[str, str], place: Place, draft: Draft) -> str:
    """The topic that a template stands for; what is wrong with it is told, and left as it is."""
    names = {**known, "gateway": gateway}
    unknown = [name for name in dict.fromkeys(_PART.findall(template)) if name not in names]
    for name in unknown:
        draft.problems.at(place, _why(name))
    topic = _PART.sub(lambda part: names.get(part[1], part[1] or "?"), template)
    if "{" in topic or "}" in topic:
        text = "a '{' or '}' without the other. Write names of levels like {site}"
        draft.problems.at(place, text)
    if len(topic.encode()) > _MOST_BYTES:
        text = f"the topic is {len(topic.encode())} bytes long, and {_MOST_BYTES} are the most"
        draft.problems.at(place, f"{text}. Shorten it")
    return topic


def _why(name: str) -> str:
    if name in LEVELS:
        return f"{{{name}}} is not told. Write hierarchy: {{{name}: …}} beside gateway:"
    there = ", ".join((*LEVELS, "gateway"))
    meant = did_you_mean(name, (*LEVELS, "gateway"))
    return f"{{{name}}} is no level of a topic.{meant} (There are: {there})"
