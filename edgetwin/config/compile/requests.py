"""Requests: what may be asked for from upstream, checked against what may be written at all."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgetwin.config.compile.draft import Draft
from edgetwin.config.problem import did_you_mean, shown
from edgetwin.config.schema.gateway import Challenger, Gateway, Requests, Upstream
from edgetwin.core.plan import LoopPlan, RequestSettings, UpstreamPlan


def compile_requests(
    section: Gateway, plans: Sequence[UpstreamPlan], loops: Sequence[LoopPlan], draft: Draft
) -> tuple[UpstreamPlan, ...]:
    """The plans of all upstreams, each with what may be asked for through it."""
    return tuple(_with_requests(section, plan, loops, draft) for plan in plans)


def _with_requests(
    section: Gateway, plan: UpstreamPlan, loops: Sequence[LoopPlan], draft: Draft
) -> UpstreamPlan:
    upstream = section.upstream[plan.name]
    wanted = upstream.requests if upstream is not None else None
    if upstream is None or wanted is None:
        return plan
    _check_trust(upstream, wanted, draft)
    if not wanted.tags and not wanted.loops:
        text = "nothing may be asked for. List it in tags: or loops:, or remove 'requests'"
        draft.problems.at(upstream.place("requests"), text)
    if wanted.tags and not section.control.enabled:
        text = (
            "tags may be asked for, but nothing may be written. Write control: {enabled: true}, or "
            "remove 'requests'"
        )
        draft.problems.at(wanted.place("tags"), text)
    return replace(
        plan,
        requests=RequestSettings(
            tags=frozenset(_tags(wanted, draft)),
            loops=frozenset(_loops(section, wanted, loops, draft)),
            keys=named_keys(wanted, draft),
            expiry=wanted.expiry,
            unsigned=wanted.unsigned,
        ),
    )


def _check_trust(upstream: Upstream, wanted: Requests, draft: Draft) -> None:
    """Requests of our own kind are signed; Sparkplug's commands cannot be."""
    problems = draft.problems
    if upstream.sparkplug is None:
        if wanted.unsigned:
            text = "only Sparkplug's commands can be unsigned. Write keys: instead"
            problems.at(wanted.place("unsigned"), text)
        elif not wanted.keys:
            text = "requests are signed. Write keys: and the public keys of those who may ask"
            problems.at(upstream.place("requests"), text)
        return
    if not wanted.unsigned:
        text = (
            "Sparkplug's commands cannot be signed: whoever may publish at the broker is obeyed. "
            "If you accept that, write unsigned: true; else remove 'requests'"
        )
        problems.at(upstream.place("requests"), text)
    for key, why in (
        ("keys", "Sparkplug's commands cannot be signed"),
        ("loops", "a loop's mode is no metric of Sparkplug that can be written"),
    ):
        if getattr(wanted, key):
            problems.at(wanted.place(key), f"{why}. Leave {key} out")


def _tags(wanted: Requests, draft: Draft) -> list[int]:
    found = []
    for name in wanted.tags:
        place = wanted.place("tags")
        for index in _named(name, wanted, draft):
            if draft.tags[index].write is None:
                text = (
                    f"{shown(name)} has no 'write:' limits, so nobody may write it. "
                    "Say there what it may be: write: {min: …, max: …}"
                )
                draft.problems.at(place, text)
            found.append(index)
    return found


def _named(name: str, wanted: Requests, draft: Draft) -> list[int]:
    """The tag of a name, or all elements of the array."""
    if elements := [tag.index for tag in draft.tags if tag.array == name]:
        return elements
    index = draft.find(name, wanted.place("tags"))
    return [] if index is None else [index]


def _loops(
    section: Gateway, wanted: Requests, loops: Sequence[LoopPlan], draft: Draft
) -> list[int]:
    known = {loop.name: index for index, loop in enumerate(loops)}
    for name in wanted.loops:
        if name not in section.loops:
            text = f"there is no loop {shown(name)}.{did_you_mean(name, section.loops)}"
            draft.problems.at(wanted.place("loops"), text)
    return [known[name] for name in wanted.loops if name in known]


def named_keys(wanted: Requests | Challenger, draft: Draft) -> tuple[Path, ...]:
    """The files of public keys. What signs with them names them as their files are called."""
    files = [path for each in wanted.keys if (path := draft.path(each)) is not None]
    names = [file.stem for file in files]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        text = f"two keys would both be called {shown(twice[0])}: that is the name of their files"
        draft.problems.at(wanted.place("keys"), f"{text}. Rename one")
    return tuple(files)
