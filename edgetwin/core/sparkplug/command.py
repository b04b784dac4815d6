"""Commands from hosts: the one that is obeyed, and why the others are not.

Only a rebirth is obeyed: it writes nothing. Every other metric of an NCMD or DCMD is refused:
writing from upstream is off, and would have to pass the guard like any other wish.
"""

from dataclasses import dataclass

from edgetwin.core.sparkplug.metric import REBIRTH, Payload, Verb


@dataclass(frozen=True, slots=True)
class Command:
    """What a message asks for: a rebirth perhaps, and what is refused, a reason each."""

    rebirth: bool
    refused: tuple[str, ...]


def judge(verb: Verb, device: str, payload: Payload | None, *, retained: bool) -> Command:
    """What is to be done about a command; ``payload`` None: it could not be read."""
    who = f"{verb.value} to {device or 'the node'}"
    if payload is None:
        return Command(rebirth=False, refused=(f"{who} is no Sparkplug payload",))
    if retained:
        return Command(
            rebirth=False, refused=(f"{who} was retained: nobody says when it was meant",)
        )
    rebirth, refused = False, []
    for metric in payload.metrics:
        if verb is Verb.NCMD and metric.name == REBIRTH and metric.value is True:
            rebirth = True
            continue
        what = metric.name or f"alias {metric.alias}"
        refused.append(f"{who}: {what!r}: writing from upstream is not enabled")
    if not payload.metrics:
        refused.append(f"{who} asks for nothing")
    return Command(rebirth, tuple(refused))
