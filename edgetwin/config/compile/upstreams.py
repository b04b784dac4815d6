"""Upstreams: where summaries and events go, and how safely."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from edgetwin.config.compile.draft import Draft
from edgetwin.config.compile.topics import fill, levels
from edgetwin.config.places import Endpoint
from edgetwin.config.schema.gateway import Gateway, Sparkplug, Upstream
from edgetwin.core.plan import SECOND, MqttSettings, SparkplugSettings, UpstreamPlan


def compile_upstreams(section: Gateway, draft: Draft) -> tuple[UpstreamPlan, ...]:
    """The plans of all upstreams."""
    known = levels(section.hierarchy)
    return tuple(
        _upstream(name, each, section.gateway, known, draft)
        for name, each in section.upstream.items()
        if each is not None
    )


def _upstream(
    name: str, section: Upstream, gateway: str, known: Mapping[str, str], draft: Draft
) -> UpstreamPlan:
    _check(section, draft)
    broker = MqttSettings(
        host=section.broker.host,
        port=section.broker.port,
        tls=section.broker.tls,
        ca_file=draft.path(section.ca_file),
        cert_file=draft.path(section.cert_file),
        key_file=draft.path(section.key_file),
        user=section.user or "",
        password_file=draft.path(section.password_file),
        client_id=section.client_id or f"edgetwin-{gateway}-{name}",
        keepalive_s=section.keepalive // SECOND,
        others=tuple((each.host, each.port) for each in section.other_brokers),
    )
    template = section.topic or "edgetwin/{gateway}"
    topic = fill(template, gateway, known, section.place("topic"), draft)
    plan = UpstreamPlan(
        name,
        broker,
        topic,
        section.window,
        section.values,
        compress=section.compression != "off",
    )
    if section.sparkplug is None:
        return plan
    return replace(plan, sparkplug=_sparkplug(section, section.sparkplug, gateway, draft))


def _sparkplug(
    section: Upstream, wanted: Sparkplug, gateway: str, draft: Draft
) -> SparkplugSettings:
    for key in ("topic", "values", "compression"):
        if getattr(section, key) not in {None, False, "off"}:
            text = f"{key} has no meaning in Sparkplug, which has topics of its own. Leave it out"
            draft.problems.at(section.place(key), text)
    twins = _same_but_case(tag.name for tag in draft.tags)
    if twins:
        text = (
            f"only their case tells {' and '.join(twins[:2])} apart, and Sparkplug hosts may not "
            "(tck-id-case-sensitivity-metric-names). Rename one"
        )
        draft.problems.at(section.place("sparkplug"), text)
    return SparkplugSettings(
        group=wanted.group,
        node=wanted.edge_node or gateway,
        primary_host=wanted.primary_host or "",
        every=wanted.every,
    )


def _check(section: Upstream, draft: Draft) -> None:
    broker = section.broker
    _check_nodes(section, draft)
    for one, other in (
        ("password_file", "user"),
        ("cert_file", "key_file"),
        ("key_file", "cert_file"),
    ):
        if getattr(section, one) and not getattr(section, other):
            text = f"{one} is of no use alone. Write {other}: as well"
            draft.problems.at(section.place(one), text)
    for key in ("ca_file", "cert_file", "key_file"):
        if getattr(section, key) and not broker.tls:
            text = f"{key} is of no use without TLS. Write mqtts:// in broker:"
            draft.problems.at(section.place(key), text)


def _check_nodes(section: Upstream, draft: Draft) -> None:
    """All nodes of a broker are spoken to in the same way, each stands there once."""
    first = section.broker
    seen: list[Endpoint] = []
    for key, node in (("broker", first), *(("other_brokers", n) for n in section.other_brokers)):
        if node.tls != first.tls:
            text = f"{node} is not reached as {first} is. Write mqtts:// for all nodes of a broker"
            draft.problems.at(section.place(key), text)
        elif not (node.tls or node.is_local or section.plain_text):
            text = (
                f"mqtt:// to {node.host} is plain text: everybody on the way can read and alter "
                "it. Write mqtts://, or, if you accept that, plain_text: true"
            )
            draft.problems.at(section.place(key), text)
        if node in seen:
            draft.problems.at(section.place(key), f"{node} stands here twice. Name it once")
        seen.append(node)


def _same_but_case(names: Iterable[str]) -> list[str]:
    """Names that only their case tells apart, sorted."""
    known = sorted(set(names))
    often = Counter(name.lower() for name in known)
    return [name for name in known if often[name.lower()] > 1]
