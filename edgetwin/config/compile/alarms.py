"""Alarms: those of each tag, by the tag's name, a point, and their own."""

from collections.abc import Iterator, Mapping

from edgetwin.config.compile.draft import Draft
from edgetwin.config.schema.alarms import Alarm
from edgetwin.config.schema.gateway import Gateway
from edgetwin.core.plan import AlarmPlan
from edgetwin.core.tags import ValueType

Alarms = Mapping[str, Alarm | None]


def compile_alarms(gateway: Gateway, draft: Draft) -> tuple[AlarmPlan, ...]:
    """The plans of all alarms."""
    return tuple(
        plan
        for tag, alarms in _all(gateway)
        for name, alarm in alarms.items()
        if alarm is not None and (plan := _plan(tag, name, alarm, draft)) is not None
    )


def _all(gateway: Gateway) -> Iterator[tuple[str, Alarms]]:
    """Every tag's name, and the alarms that stand with it."""
    for name, device in gateway.devices.items():
        for key, tag in device.tags.items() if device else ():
            if tag is not None:
                yield f"{name}/{key}", tag.alarms
    for name, asset in gateway.assets.items():
        for key, derived in asset.derived.items() if asset else ():
            if derived is not None:
                yield f"{name}/{key}", derived.alarms


def _plan(tag: str, name: str, alarm: Alarm, draft: Draft) -> AlarmPlan | None:
    index = draft.names.get(tag)
    if index is None:
        return None  # the tag itself is wrong, and that is told
    if draft.tags[index].type is ValueType.TEXT:
        draft.problems.at(alarm.node.place, f"{tag} is a text; only numbers can have alarms")
        return None
    limit = _limit(alarm, draft.tags[index].unit, draft)
    deadband = 0.0
    if alarm.deadband:
        place = alarm.place("deadband")
        deadband = draft.amount(alarm.deadband, draft.tags[index].unit, place)
    suppressed_by = -1
    if alarm.suppressed_by:
        found = draft.find_number(alarm.suppressed_by, alarm.place("suppressed_by"))
        suppressed_by = -1 if found is None else found
    return AlarmPlan(
        name=f"{tag}.{name}",
        tag=index,
        limit=limit,
        falls=bool(alarm.below) or alarm.is_ == 0,
        deadband=deadband,
        on_delay=alarm.on_delay,
        off_delay=alarm.off_delay,
        latch=alarm.latch,
        priority=alarm.priority,
        advice=alarm.advice or "",
        suppressed_by=suppressed_by,
    )


def _limit(alarm: Alarm, unit: str, draft: Draft) -> float:
    """The one limit there is; a bit is compared with one half."""
    given = [key for key in ("above", "below", "is") if key in alarm.node.entries]
    if len(given) != 1:
        text = f"an alarm has one of above, below and is, not {len(given)} of them"
        draft.problems.at(alarm.node.place, f"{text}. Write for example above: 8")
        return 0.0
    if alarm.is_ is not None:
        return 0.5
    amount = alarm.above or alarm.below
    return draft.amount(amount, unit, alarm.place(given[0])) if amount else 0.0
