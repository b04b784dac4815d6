"""Classes of tags: which summaries and reports tell of each tag, and which tags are counters."""

from collections.abc import Iterator
from dataclasses import replace

from edgetwin.config.compile.draft import Draft
from edgetwin.config.kinds import Share
from edgetwin.config.node import Place
from edgetwin.config.problem import did_you_mean, shown
from edgetwin.config.schema.classes import TagClass
from edgetwin.config.schema.gateway import Gateway
from edgetwin.core.plan import ClassPlan
from edgetwin.core.tags import Counter, Report, ReportBy, Tag, ValueType
from edgetwin.core.units import format_number

DEFAULT = "default"


def compile_classes(gateway: Gateway, draft: Draft) -> tuple[ClassPlan, ...]:
    """The plans of the classes with windows; the tags in the draft get what is theirs."""
    named = dict(_named(gateway, draft))
    for index, tag in enumerate(draft.tags):
        name = named.get(index, DEFAULT)
        own = gateway.classes.get(name)
        if own is not None:
            draft.tags[index] = _classed(tag, name, own, draft)
    _counters(gateway, draft)
    for each in gateway.classes.values():
        if each is not None and each.window is None and each.report is None:
            text = "a class without a window and a report changes nothing. Write one of them"
            draft.problems.at(each.node.place, text)
    return tuple(
        ClassPlan(name, each.window)
        for name, each in gateway.classes.items()
        if each is not None and each.window is not None
    )


def _named(gateway: Gateway, draft: Draft) -> Iterator[tuple[int, str]]:
    """The index of each tag that names its class, and the class."""
    for tag, name, place in _mentions(gateway):
        if name not in gateway.classes:
            meant = did_you_mean(name, gateway.classes)
            text = f"there is no class {shown(name)}.{meant} Classes stand below classes:"
            draft.problems.at(place, text)
        elif (index := draft.names.get(tag)) is not None:
            yield index, name


def _mentions(gateway: Gateway) -> Iterator[tuple[str, str, Place]]:
    for name, device in gateway.devices.items():
        for key, tag in device.tags.items() if device else ():
            if tag is not None and tag.class_:
                yield f"{name}/{key}", tag.class_, tag.place("class")
    for name, asset in gateway.assets.items():
        for key, derived in asset.derived.items() if asset else ():
            if derived is not None and derived.class_:
                yield f"{name}/{key}", derived.class_, derived.place("class")


def _classed(tag: Tag, name: str, own: TagClass, draft: Draft) -> Tag:
    summary: str | None = ""
    if own.window is not None:
        summary = name
    elif own.report is not None:
        summary = None
    return replace(tag, summary=summary, report=_report(tag, own, draft))


def _report(tag: Tag, own: TagClass, draft: Draft) -> Report | None:
    section = own.report
    if section is None:
        return None
    if tag.type in {ValueType.BIT, ValueType.TEXT}:
        return Report(ReportBy.STEP, 0.0, section.heartbeat)
    place, within = section.place("within"), section.within
    by = ReportBy(section.by)
    if isinstance(within, Share):
        span = tag.high - tag.low
        if not span < float("inf"):
            text = f"{tag.name} has no range to take a part of. Give it a range:, or write a value"
            draft.problems.at(place, text)
        return Report(by, within.part * span, section.heartbeat)
    if within.unit and within.unit != tag.unit:
        given = f"'{format_number(within.value)} {within.unit}'"
        text = f"{given}: {tag.name} is in {tag.unit or 'no unit'}. Write a part of the range"
        draft.problems.at(place, f"{text}, or give the tag another class")
    return Report(by, within.value, section.heartbeat)


def _counters(gateway: Gateway, draft: Draft) -> None:
    for name, device in gateway.devices.items():
        for key, tag in device.tags.items() if device else ():
            index = draft.names.get(f"{name}/{key}")
            if tag is None or tag.counter is None or index is None:
                continue
            wraps = tag.counter.wraps
            counter = Counter(wraps) if wraps else Counter()
            draft.tags[index] = replace(draft.tags[index], counter=counter)
