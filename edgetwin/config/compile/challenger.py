"""Challengers: from which upstream ranges of a fleet are taken, and whose."""

from collections.abc import Sequence
from dataclasses import replace

from edgetwin.config.compile.draft import Draft
from edgetwin.config.compile.requests import named_keys
from edgetwin.config.schema.gateway import Gateway
from edgetwin.core.plan import UpstreamPlan
from edgetwin.core.ranges import ChallengerSettings
from edgetwin.core.tags import TypedAsset


def compile_challengers(
    section: Gateway, plans: Sequence[UpstreamPlan], typed: Sequence[TypedAsset], draft: Draft
) -> tuple[UpstreamPlan, ...]:
    """The plans of all upstreams, each with whose ranges are taken from it."""
    return tuple(_with_challenger(section, plan, typed, draft) for plan in plans)


def _with_challenger(
    section: Gateway, plan: UpstreamPlan, typed: Sequence[TypedAsset], draft: Draft
) -> UpstreamPlan:
    upstream = section.upstream[plan.name]
    wanted = upstream.challenger if upstream is not None else None
    if upstream is None or wanted is None:
        return plan
    place = upstream.place("challenger")
    if upstream.sparkplug is not None:
        text = "ranges come by edgetwin's own messages, not by Sparkplug. Leave challenger out"
        draft.problems.at(place, text)
    if not typed:
        text = (
            "ranges are for types of machines, and no asset has one. Write type: in an asset, or "
            "remove 'challenger'"
        )
        draft.problems.at(place, text)
    return replace(plan, challenger=ChallengerSettings(named_keys(wanted, draft), wanted.report))
