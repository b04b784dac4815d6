"""What ``status`` and ``tags`` look like: ten lines a technician can read out on the phone."""

import math
from typing import Any

_MANY = 3


def status_screen(s: dict[str, Any]) -> str:
    """The whole state of a gateway in about ten lines."""
    control = "control on" if s["control"] else "control off: nothing is written"
    rows = [("gateway", f"{s['gateway']}, up {_span(s['uptime_s'])}, {control}")]
    rows += _devices(s["devices"])
    rows.append(("tags", _tags(s["tags"])))
    rows += [("model", _detector(d)) for d in s["detectors"]]
    rows += [("loop", _loop(x)) for x in s["loops"]]
    rows += _upstreams(s["office"])
    rows.append(("latency", _latency(s)))
    rows.append(("memory", f"{s['rss_mb']} MB, CPU {_share(s)} since the start"))
    if s["recording"] != "off":
        rows.append(("recording", s["recording"]))
    return "\n".join(f"{name:<10}{text}" for name, text in rows)


def _devices(devices: list[dict[str, Any]]) -> list[tuple[str, str]]:
    troubled = [d for d in devices if not d["up"]]
    if len(devices) <= _MANY:
        return [("device", _device(d)) for d in devices]
    rows = [("devices", f"{len(devices) - len(troubled)} of {len(devices)} answer")]
    return rows + [("device", _device(d)) for d in troubled[:_MANY]]


def _device(d: dict[str, Any]) -> str:
    if not d["up"]:
        return d["reason"] if d["name"] in d["reason"] else f"{d['name']}: {d['reason']}"
    overruns = f", {d['overruns']} scans skipped" if d["overruns"] else ""
    losses = f", lost {d['losses']} times" if d["losses"] else ""
    tags = f"{d['good']} of {d['tags']} tags good"
    return f"{d['name']} ({d['driver']}) answers, {tags}{overruns}{losses}"


def _tags(t: dict[str, int]) -> str:
    parts = [f"{t['good']} good"]
    parts += [f"{t[word]} {word}" for word in ("uncertain", "stale", "bad") if t[word]]
    return f"{', '.join(parts)}; oldest good value {t['oldest_age_ms']} ms"


def _detector(d: dict[str, Any]) -> str:
    return f"{d['name']}: {d['state']}"


def _loop(x: dict[str, Any]) -> str:
    values = f"pv {number(x['pv'])}, sp {number(x['sp'])}, out {number(x['out'])}"
    return f"{x['name']}: {x['state']}; {values}"


def _upstreams(office: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for name, u in office.get("upstreams", {}).items():
        state = "connected" if u["connected"] else f"not connected: {u['error'] or 'connecting'}"
        rows.append(("upstream", f"{name} {state}; {u['backlog']} records wait"))
    return rows


def _latency(s: dict[str, Any]) -> str:
    q = s["sense_to_write_us"]
    if not q:
        return "no write yet"
    return f"sense to write {q['p50'] / 1000:.2f} ms (p50), {q['p99'] / 1000:.2f} ms (p99)"


def _share(s: dict[str, Any]) -> str:
    return f"{100 * s['cpu_s'] / max(s['uptime_s'], 0.1):.1f} % of a core"


def tags_screen(answer: dict[str, Any]) -> str:
    """One line a tag: value, unit, quality, age and both times."""
    tags = answer["tags"]
    width = max(len(t["name"]) for t in tags)
    return "\n".join(_tag_line(t, width) for t in tags)


def _tag_line(t: dict[str, Any], width: int) -> str:
    age = "never read" if t["age_ms"] is None else f"{t['age_ms']} ms old"
    source = f"  source {_clock(t['source_time'])}" if t["source_time"] else ""
    arrived = f"  arrived {_clock(t['arrival_time'])}" if t["arrival_time"] else ""
    value = t["value"] if isinstance(t["value"], str) else number(t["value"])
    line = f"{t['name']:<{width}}  {value:>12} {t['unit']:<8} {t['quality']:<24} {age:<14}"
    return f"{line}{source}{arrived}".rstrip()


def number(value: float | None) -> str:
    """A number for people: seven digits at most, a dash where there is none."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.7g}"


def _span(seconds: float) -> str:
    minutes, s = divmod(int(seconds), 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    if days:
        return f"{days} d {h} h"
    if hours:
        return f"{h} h {m} min"
    return f"{m} min {s} s" if m else f"{s} s"


def _clock(wall_ns: int) -> str:
    """Time of day in UTC with milliseconds."""
    ms = wall_ns // 1_000_000 % 86_400_000
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}Z"
