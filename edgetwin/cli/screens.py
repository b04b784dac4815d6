"""What ``status`` and ``tags`` look like: ten lines a technician can read out on the phone."""

import math
import textwrap
from typing import Any

_MANY = 3
_ASIDE = ("returned", "latched", "shelved", "suppressed")
_WIDTH = 100
_INDENT = 10
_HEAD: tuple[str, ...] = (
    *("TAG", "VALUE", "UNIT", "QUALITY", "AGE", "DEVICE'S TIME", "ARRIVED (UTC)"),
)
_NUMBERS = (1, 4)  # the columns VALUE and AGE
_LONG_MS = 10_000


def status_screen(s: dict[str, Any]) -> str:
    """The whole state of a gateway in about ten lines."""
    control = "control on" if s["control"] else "control off: nothing is written"
    rows = [("gateway", f"{s['gateway']}, up {_span(s['uptime_s'])}, {control}")]
    rows += _devices(s["devices"])
    rows.append(("tags", _tags(s["tags"])))
    rows += [("model", _detector(d)) for d in s["detectors"]]
    rows += [("loop", _loop(x)) for x in s["loops"]]
    rows += _alarms(s["alarms"])
    rows += _upstreams(s["office"])
    rows.append(("latency", f"{_latency(s)}; {_ticks(s)}"))
    rows.append(("memory", f"{s['rss_mb']} MB, CPU {_share(s)} since the start"))
    if s["recording"] != "off":
        rows.append(("recording", "on" if s["recording"] == "recording" else s["recording"]))
    return "\n".join(_row(name, text) for name, text in rows)


def _row(name: str, text: str) -> str:
    """A line, or several where a sentence is long: nothing of a cure is cut off."""
    return textwrap.fill(
        f"{name:<{_INDENT}}{text}",
        _WIDTH,
        subsequent_indent=" " * _INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _devices(devices: list[dict[str, Any]]) -> list[tuple[str, str]]:
    troubled = [d for d in devices if not d["up"]]
    if len(devices) <= _MANY:
        return [("device", _device(d)) for d in devices]
    rows = [("devices", f"{len(devices) - len(troubled)} of {len(devices)} answer")]
    rows += [("device", _device(d)) for d in troubled[:_MANY]]
    if len(troubled) > _MANY:
        names = ", ".join(d["name"] for d in troubled[_MANY:])
        rows.append(("devices", f"nor do {names} (their reasons: --json)"))
    return rows


def _device(d: dict[str, Any]) -> str:
    if not d["up"]:
        return d["reason"] if d["name"] in d["reason"] else f"{d['name']}: {d['reason']}"
    overruns = _overruns(d)
    losses = f", lost {_times(d['losses'], 'time')} so far" if d["losses"] else ""
    tags = f"{d['good']} of {_times(d['tags'], 'tag')} good"
    return f"{d['name']} ({d['driver']}) answers, {tags}{overruns}{losses}"


def _overruns(d: dict[str, Any]) -> str:
    """The scan classes that do not keep up, or how many scans were ever skipped."""
    over = [
        f"the scan every {s['scan']} does not keep up: {s['overrun']['skipped']} of "
        f"{s['overrun']['due']} skipped"
        for s in d["scans"]
        if s["overrun"]
    ]
    if over:
        return f"; {'; '.join(over)}"
    return f", {_times(d['overruns'], 'scan')} skipped so far" if d["overruns"] else ""


def _times(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _tags(t: dict[str, int]) -> str:
    parts = [f"{t['good']} good"]
    parts += [f"{t[word]} {word}" for word in ("uncertain", "stale", "bad") if t[word]]
    text = ", ".join(parts)
    return f"{text}; the oldest good one {_age(t['oldest_age_ms'])} old" if t["good"] else text


def _detector(d: dict[str, Any]) -> str:
    return f"{d['name']}: {d['state']}"


def _loop(x: dict[str, Any]) -> str:
    pv, sp = (f"{name} {number(x[name])} {x['unit']}".rstrip() for name in ("pv", "sp"))
    out, mv = (f"{number(x[name])} {x['mv_unit']}".rstrip() for name in ("out", "mv"))
    return f"{x['name']}: {x['state']}; {pv}, {sp}, output {out} (at the device {mv})"


def _alarms(alarms: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """One line: those that are on, by their names, and how many are put aside."""
    active = [a for a in alarms if a["active"]]
    aside = [f"{n} {word}" for word in _ASIDE if (n := sum(a["state"] == word for a in alarms))]
    names = [f"{a['name']} ({_standing(a)})" for a in active[:_MANY]]
    more = [f"{len(active) - _MANY} more (edgetwin alarm)"] if len(active) > _MANY else []
    text = ", ".join([*names, *more]) if active else "none on"
    return [("alarms", "; ".join([text, *aside]))] if alarms else []


def _standing(a: dict[str, Any]) -> str:
    words = "not acknowledged" if a["state"] == "unacknowledged" else a["state"]
    return f"{number(a['value'])} {a['unit']}".rstrip() + f", {words}"


def alarm_lines(alarms: list[dict[str, Any]]) -> list[str]:
    """Every alarm that is not normal, the most urgent first."""
    return [_alarm(a) for a in alarms] or ["all alarms are normal"]


def _alarm(a: dict[str, Any]) -> str:
    by = f" by {a['by']}" if a["by"] else ""
    since = f"{_standing(a)}{by} since {a['since']}"
    advice = f". {a['advice']}" if a["active"] and a["advice"] else ""
    return f"{a['name']} (priority {a['priority']}): {since}{advice}"


def _upstreams(office: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for name, u in office.get("upstreams", {}).items():
        there = f"connected to {u['node']}"
        state = there if u["connected"] else f"not connected: {u['error'] or 'connecting'}"
        rows.append(("upstream", f"{name} {state}; {_times(u['backlog'], 'record')} waiting"))
        if u.get("warning"):
            rows.append(("warning", f"{name}: {u['warning']}"))
    rows += _challengers(office)
    rows += _requests(office)
    if trouble := office.get("storage"):
        rows.append(("disk", f"refuses: {trouble}"))
    return rows


def _requests(office: dict[str, Any]) -> list[tuple[str, str]]:
    """Who may ask from upstream, and what became of what was asked."""
    rows = []
    for name, r in office.get("requests", {}).items():
        deaf = r.get("error") or "connecting"
        state = "listens" if r.get("connected", True) else f"does not listen: {deaf}"
        ended = _counts(r["ended"])
        refused = f"; {sum(r['refused'].values())} refused{_counts(r['refused'])}"
        rows.append(("requests", f"{name} {state}; {r['taken']} taken{ended}{refused}"))
    return rows


def _counts(by_word: dict[str, int]) -> str:
    """`` (2 applied, 1 invalid)``, the most frequent first; nothing for nothing."""
    told = sorted(by_word.items(), key=lambda each: -each[1])
    return f" ({', '.join(f'{count} {word}' for word, count in told)})" if told else ""


def _challengers(office: dict[str, Any]) -> list[tuple[str, str]]:
    """What the fleet's idea of normal says beside each machine's own detector."""
    rows = []
    for name, c in office.get("challengers", {}).items():
        if not c["assets"]:
            rows.append(("fleet", f"{name}: no ranges of {c['type']} yet"))
            continue
        rows.append(
            (
                "fleet",
                f"{name}: {_times(c['windows'], 'window')} beside {c['assets']} of {c['type']}; "
                f"not normal: both {c['both']}, only the fleet {c['challenger']}, only its own "
                f"detector {c['detector']}",
            )
        )
    for name, line in office.get("ranges", {}).items():
        if refused := sum(line["refused"].values()):
            rows.append(("warning", f"{name}: {_times(refused, 'message')} with ranges refused"))
    return rows


def _latency(s: dict[str, Any]) -> str:
    q = s["sense_to_write_us"]
    if not q:
        return "no write yet"
    return f"sense to write {q['p50'] / 1000:.2f} ms (p50), {q['p99'] / 1000:.2f} ms (p99)"


def _ticks(s: dict[str, Any]) -> str:
    """How late the daemon's own clock came, and whether scans are left out for it."""
    t = s["ticks"]
    if not t["lateness_us"]:
        return "no scan yet"
    text = (
        f"ticks {t['lateness_us']['p99'] / 1000:.2f} ms late (p99), {t['late']} of {t['woken']} "
        f"over {t['late_after_ms']:g} ms"
    )
    steps = s["shed_steps"]
    return f"{text}. OVERLOADED: scans are thinned out, {_times(steps, 'step')}" if steps else text


def _share(s: dict[str, Any]) -> str:
    return f"{100 * s['cpu_s'] / max(s['uptime_s'], 0.1):.1f} % of a core"


def tags_screen(answer: dict[str, Any]) -> str:
    """A table, one line a tag: value, unit, quality, age and both times."""
    rows = [_HEAD, *map(_tag_row, answer["tags"])]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_aligned(row, widths) for row in rows)


def _aligned(row: tuple[str, ...], widths: list[int]) -> str:
    """Values and ages to the right, so that digits stand under each other; the rest left."""
    cells = [
        cell.rjust(width) if place in _NUMBERS else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def _tag_row(t: dict[str, Any]) -> tuple[str, ...]:
    value = t["value"] if isinstance(t["value"], str) else number(t["value"])
    value += f" ({t['state']})" if "state" in t else ""
    age = "-" if t["age_ms"] is None else _age(t["age_ms"])
    times = (_clock(t[key]) if t[key] else "-" for key in ("source_time", "arrival_time"))
    return (t["name"], value, t["unit"], t["quality"], age, *times)


def _age(ms: int) -> str:
    return f"{ms} ms" if ms < _LONG_MS else _span(ms / 1000)


def number(value: float | None) -> str:
    """A number for people: six digits at most, a dash where there is none."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.6g}"


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
