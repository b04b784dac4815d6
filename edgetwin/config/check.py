"""``edgetwin check``: everything that is wrong, or in a few lines what the configuration will do.

Nothing is opened but the file itself. What is shown when all is well are the defaults that matter:
who is asked how often, what is watched, what may be written, where things go.
"""

import textwrap
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from edgetwin.config.compile.gateway import read
from edgetwin.config.problem import ConfigErrors
from edgetwin.core.blocks import plan_blocks
from edgetwin.core.plan import (
    DetectorPlan,
    DevicePlan,
    Fail,
    Fallback,
    GatewayPlan,
    LoopPlan,
    ModbusSettings,
    MqttSettings,
    OpcuaSettings,
    RequestSettings,
    ScanGroup,
    UpstreamPlan,
)
from edgetwin.core.publickey import LARGEST, NoPublicKey, read_public_key
from edgetwin.core.tags import TagTable
from edgetwin.core.units import format_duration, format_number, format_size

_WIDTH = 100


def report(path: Path, overrides: Sequence[str] = ()) -> tuple[str, bool]:
    """The text for people, and whether the configuration can be run."""
    try:
        plan = read(path, overrides)
    except ConfigErrors as errors:
        return f"{errors}\n{errors.summary}", False
    return "\n".join([f"{path}: no errors; no connection was opened.", *_lines(plan)]), True


def _lines(plan: GatewayPlan) -> Iterator[str]:
    yield _line("gateway", f"{plan.name}, {_count(len(plan.tags), 'tag')}")
    for device in plan.devices:
        yield _line("device", _device(plan, device))
    for detector in plan.detectors:
        yield _line("watch", _detector(plan, detector))
    for loop in plan.loops:
        yield _line("loop", _loop(plan, loop))
    yield from (_line("write", each) for each in _writable(plan))
    for upstream in plan.upstreams:
        yield _line("upstream", _upstream(upstream))
        if upstream.requests is not None:
            yield _line("requests", _requests(plan, upstream.name, upstream.requests))
    recording = format_size(plan.recording_bytes) if plan.recording_bytes else "off"
    outbox = format_size(plan.outbox_bytes)
    yield _line("state", f"{plan.state}: outbox {outbox}, recording {recording}")
    yield from (_line("note", each) for each in _notes(plan))


def _line(what: str, text: str) -> str:
    """A line, or several where it is long; names and addresses stay whole."""
    return textwrap.fill(
        f"  {what:<9} {text}",
        _WIDTH,
        subsequent_indent=" " * 12,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


# ---------------------------------------------------------------- devices


def _device(plan: GatewayPlan, device: DevicePlan) -> str:
    settings = device.settings
    groups = ", ".join(_group(plan, each, settings) for each in device.groups)
    if isinstance(settings, ModbusSettings):
        return f"{device.name}: modbus {settings.place} unit {settings.unit}, {groups}"
    if isinstance(settings, OpcuaSettings):
        way = "subscribed" if settings.subscribe else "polled"
        return f"{device.name}: opcua {settings.url} ({settings.security}), {way}, {groups}"
    return f"{device.name}: {device.driver}, {groups}"


def _group(plan: GatewayPlan, group: ScanGroup, settings: object) -> str:
    text = f"{_count(len(group.tags), 'tag')} every {format_duration(group.period)}"
    if not isinstance(settings, ModbusSettings):
        return text
    blocks = plan_blocks([plan.tags[i] for i in group.tags], settings.limits)
    return f"{text} by {_count(len(blocks), 'request')}"


# ---------------------------------------------------------------- watching, control


def _detector(plan: GatewayPlan, detector: DetectorPlan) -> str:
    names = ", ".join(plan.tags[i].name for i in detector.tags)
    every = format_duration(detector.every)
    if detector.model:
        source = f"by {detector.model}"
    else:
        span = format_duration(detector.train * detector.every)
        source = f"learned from the first {detector.train} good rows ({span} of healthy running)"
    return f"{detector.name}: every {every}, {source}: {names}"


def _loop(plan: GatewayPlan, loop: LoopPlan) -> str:
    pv, mv = plan.tags[loop.pv], plan.tags[loop.mv]
    sp = plan.tags[int(loop.sp)].name if loop.sp_is_tag else _value(loop.sp, pv.unit)
    does = {"off": "does nothing", "shadow": "only watches", "auto": "WRITES"}[loop.mode]
    return (
        f"{loop.name}: {loop.mode} ({does}), {pv.name} to {sp} by {mv.name}, every "
        f"{format_duration(loop.every)}; on fault {_end(loop.on_fault, mv.unit)}, "
        f"on stop {_end(loop.on_stop, mv.unit)}"
    )


def _end(rule: Fail, unit: str) -> str:
    return "hold" if rule.action is Fallback.HOLD else f"go to {_value(rule.value, unit)}"


def _value(value: float, unit: str) -> str:
    return f"{format_number(value)} {unit}".rstrip()


def _writable(plan: GatewayPlan) -> Iterator[str]:
    if not plan.control:
        yield "nothing, ever: control is not enabled"
        return
    writable = {tag.index for tag in plan.tags if tag.write is not None}
    for name, index in _called(plan.tags, writable).items():
        tag = plan.tags[index]
        if tag.write is not None:
            limits = tag.write
            if limits.texts:
                yield f"{name}: {', '.join(limits.texts)}"
                continue
            span = f"{format_number(limits.low)} to {_value(limits.high, tag.unit)}"
            rate = f", at most {format_number(limits.rate)} per s" if limits.rate < 1e300 else ""
            yield f"{name}: {span}{rate}"


def _called(tags: TagTable, indices: Collection[int]) -> dict[str, int]:
    """What these tags are called, and the first that is called so: a whole array has one name."""
    names: dict[str, int] = {}
    for index in sorted(indices):
        array = tags[index].array
        elements = tags.elements(array)
        if elements and all(each in indices for each in elements):
            names.setdefault(f"{array} ({len(elements)} elements)", index)
        else:
            names[tags[index].name] = index
    return names


# ---------------------------------------------------------------- office side


def _upstream(upstream: UpstreamPlan) -> str:
    broker = upstream.broker
    way = "TLS" if broker.tls else "plain text"
    what = "every value, and a summary" if upstream.values else "a summary"
    nodes = ((broker.host, broker.port), *broker.others)
    where = " or ".join(f"{host}:{port}" for host, port in nodes)
    return (
        f"{upstream.name}: {where} ({way}), {what} every "
        f"{format_duration(upstream.window)} below {upstream.topic}"
        f"{'; as gzip for readers who ask' if upstream.compress else ''}"
    )


def _requests(plan: GatewayPlan, upstream: str, asked: RequestSettings) -> str:
    keys = " or ".join(file.stem for file in asked.keys)
    who = "whoever may publish at the broker" if asked.unsigned else f"who signs with {keys}"
    tags = list(_called(plan.tags, asked.tags))
    loops = [f"the mode of {plan.loops[index].name}" for index in sorted(asked.loops)]
    return f"{upstream}: {who} may ask for {', '.join(tags + loops)}"


def _notes(plan: GatewayPlan) -> Iterator[str]:
    """What is not wrong, but worth knowing before the start."""
    if not plan.upstreams:
        yield "no upstream: nothing leaves this machine"
    for device in plan.devices:
        if isinstance(device.settings, OpcuaSettings) and device.settings.security == "none":
            yield f"{device.name}: security none: who is on the wire can read and alter everything"
        if isinstance(device.settings, OpcuaSettings):
            used = device.settings
            if used.user and used.user_certificate:
                yield f"{device.name}: logs in by user_certificate; 'user' is not used"
            yield from _missing(used.password_file, used.user_certificate, used.user_key)
    for upstream in plan.upstreams:
        yield from _missing(*_files(upstream.broker))
        yield from _asked(upstream.name, upstream.requests)
        yield from _unusable(upstream.challenger.keys if upstream.challenger else ())
    for detector in plan.detectors:
        yield from _missing(detector.model)


def _asked(upstream: str, requests: RequestSettings | None) -> Iterator[str]:
    if requests is None:
        return
    if requests.unsigned:
        yield f"{upstream}: unsigned: whoever may publish at its broker can write the listed tags"
    yield from _unusable(requests.keys)


def _unusable(keys: Iterable[Path]) -> Iterator[str]:
    """Keys that are not there, or are none."""
    for file in keys:
        yield from _missing(file)
        try:
            if file.is_file():
                read_public_key(file.read_bytes()[:LARGEST])
        except (OSError, NoPublicKey) as error:
            yield f"{file} cannot be used, and it is needed at the start: {error}"


def _files(broker: MqttSettings) -> tuple[Path | None, ...]:
    return broker.ca_file, broker.cert_file, broker.key_file, broker.password_file


def _missing(*files: Path | None) -> Iterator[str]:
    for file in files:
        if file is not None and not file.is_file():
            yield f"{file} does not exist yet; it is needed at the start"
