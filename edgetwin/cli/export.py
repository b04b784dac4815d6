"""``edgetwin export``: the twin's description for other systems. Opens nothing but the file."""

import argparse
import json
from pathlib import Path

from edgetwin import config
from edgetwin.core.contract.asyncapi import document
from edgetwin.core.contract.kinds import MESSAGES
from edgetwin.core.errors import EdgetwinError
from edgetwin.core.export.formats import FORMATS
from edgetwin.core.plan import GatewayPlan, UpstreamPlan


def export(options: argparse.Namespace) -> int:
    """Print one JSON document."""
    plan = config.read(Path(options.config), options.overrides)
    told = _asyncapi(plan) if options.format == "asyncapi" else FORMATS[options.format](plan)
    print(json.dumps(told, indent=2, ensure_ascii=False))
    return 0


def _asyncapi(plan: GatewayPlan) -> object:
    """The contract with the topics of this gateway's first upstream that speaks it."""
    for each in plan.upstreams:
        if each.sparkplug is None:
            host = f"{each.broker.host}:{each.broker.port}"
            return document(each.topic, host, tls=each.broker.tls, kinds=_kinds(plan, each))
    raise EdgetwinError("no upstream sends edgetwin's own JSON. Add one below upstream:")


def _kinds(plan: GatewayPlan, upstream: UpstreamPlan) -> set[str]:
    """Every kind of message but those that this upstream will never see."""
    needed = {
        "report": any(tag.report for tag in plan.tags),
        "capture": bool(plan.detectors),
        "values": upstream.values,
        "accept": upstream.compress,
        "request": upstream.requests is not None,
        "reply": upstream.requests is not None,
        "ranges": upstream.challenger is not None,
    }
    return {kind for kind in MESSAGES if needed.get(kind, True)}
