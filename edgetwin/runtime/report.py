"""What a running daemon says about itself: one plain dictionary, for ``status`` and ``--json``."""

import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as made
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetwin.core.alarm import AlarmState
from edgetwin.core.engine import Engine
from edgetwin.core.overrun import Punctuality
from edgetwin.core.plan import GatewayPlan, ScanGroup
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Instant
from edgetwin.core.tags import TagKind
from edgetwin.core.units import format_duration
from edgetwin.runtime.clock import cpu_seconds, utc
from edgetwin.runtime.field import Field
from edgetwin.runtime.load import Load
from edgetwin.runtime.scheduler import Lateness
from edgetwin.runtime.supervise import Supervisor

_SECOND = 1_000_000_000


@dataclass(slots=True)
class Parts:
    """The parts a report looks at. Which tags are of which kind is worked out once."""

    plan: GatewayPlan
    field: Field
    supervisors: Sequence[Supervisor]
    started: Instant
    lateness: Lateness
    load: Load
    plant: NDArray[np.bool_] = made(init=False)
    measured: NDArray[np.bool_] = made(init=False)

    def __post_init__(self) -> None:
        """Tell the kinds of tags apart."""
        kinds = [tag.kind for tag in self.plan.tags]
        self.measured = np.array([kind is TagKind.MEASURED for kind in kinds], bool)
        self.plant = self.measured | np.array([kind is TagKind.DERIVED for kind in kinds], bool)


def report(parts: Parts, now: Instant, office: Mapping[str, Any], recording: str) -> dict[str, Any]:
    """Everything ``edgetwin status`` shows. Durations in seconds, latencies in microseconds."""
    engine = parts.field.engine
    return {
        "gateway": parts.plan.name,
        "state": str(parts.plan.state),
        "now": utc(now.wall),
        "uptime_s": round((now.mono - parts.started.mono) / _SECOND, 1),
        "control": parts.plan.control,
        "devices": [_device(s, engine) for s in parts.supervisors],
        "tags": _tags(parts, now),
        "detectors": [
            {"name": d.plan.name, "state": d.words, **_value(engine, d.plan.score_tag, "score")}
            for d in engine.detectors
        ],
        "loops": [_loop(engine, i) for i in range(len(engine.loops))],
        "alarms": alarms(engine),
        "writes": parts.field.writes_started,
        "readings": {"taken": parts.field.readings_taken, "good": parts.field.good_taken},
        "sense_to_write_us": parts.field.latency.quantiles_us(),
        "ticks": _ticks(parts.lateness),
        "shed_steps": parts.load.level,
        "office": dict(office),
        "recording": recording,
        "rss_mb": _rss_mb(),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "cpu_s": round(cpu_seconds(), 3),
    }


def _ticks(lateness: Lateness) -> dict[str, Any]:
    """How late the scheduler was woken: the last 10,000 times, and how often too late in all."""
    return {
        "woken": lateness.woken,
        "late": lateness.late,
        "late_after_ms": lateness.limit / 1e6,
        "lateness_us": lateness.quantiles_us(),
    }


def _device(supervisor: Supervisor, engine: Engine) -> dict[str, Any]:
    health, plan = supervisor.health, supervisor.plan
    good = total = 0
    for group in plan.groups:
        quality = engine.twin.quality[group.tags.start : group.tags.stop]
        total += len(quality)
        good += int((quality < Quality.UNCERTAIN).sum())
    return {
        "name": plan.name,
        "driver": plan.driver,
        "up": health.up,
        "reason": health.reason,
        "tags": total,
        "good": good,
        "connects": health.connects,
        "losses": health.losses,
        "tries": health.tries,
        "driver_failures": health.failures,
        "quarantined": health.quarantined,
        "overruns": sum(each.all.skipped for each in health.classes),
        "scans": [
            _scans(each, group) for each, group in zip(health.classes, plan.groups, strict=True)
        ],
    }


def _scans(counted: Punctuality, group: ScanGroup) -> dict[str, Any]:
    """One scan class: how many scans were due and skipped, in all and in the present overrun."""
    return {
        "scan": format_duration(group.period),
        "tags": len(group.tags),
        "due": counted.all.due,
        "skipped": counted.all.skipped,
        "overrun": {"due": counted.told.due, "skipped": counted.told.skipped}
        if counted.over
        else None,
    }


def _tags(parts: Parts, now: Instant) -> dict[str, int]:
    """The plant's tags by quality; those of loops and detectors are told in their own lines."""
    twin = parts.field.engine.twin
    quality = twin.quality[parts.plant]
    stale = (quality == Quality.STALE) | (quality == Quality.FROZEN)
    live = parts.measured & (twin.quality < Quality.BAD)
    oldest = now.mono - int(twin.confirmed[live].min()) if live.any() else 0
    return {
        "total": len(quality),
        "measured": int(parts.measured.sum()),
        "good": int((quality < Quality.UNCERTAIN).sum()),
        "uncertain": int(((quality >= Quality.UNCERTAIN) & (quality < Quality.BAD)).sum()),
        "stale": int(stale.sum()),
        "bad": int(((quality >= Quality.BAD) & ~stale).sum()),
        "oldest_age_ms": oldest // 1_000_000,
    }


def _loop(engine: Engine, index: int) -> dict[str, Any]:
    loop, tags = engine.loops[index], engine.plan.tags
    return {
        "name": loop.plan.name,
        "state": loop.state_words,
        "mode": str(loop.mode),
        "faulted": loop.faulted,
        "unit": tags[loop.plan.pv].unit,
        "mv_unit": tags[loop.plan.mv].unit,
        **_value(engine, loop.plan.pv, "pv"),
        **_value(engine, loop.plan.sp_tag, "sp"),
        **_value(engine, loop.plan.out_tag, "out"),
        **_value(engine, loop.plan.mv, "mv"),
    }


def alarms(engine: Engine) -> list[dict[str, Any]]:
    """Every alarm that is not normal, the most urgent first."""
    on = (AlarmState.UNACKNOWLEDGED, AlarmState.ACKNOWLEDGED)
    return [
        {
            "name": each.plan.name,
            "state": str(each.state),
            "active": each.state in on,
            "since": utc(each.since),
            "by": each.by,
            "priority": each.plan.priority,
            "advice": each.plan.advice,
            "limit": each.plan.limit,
            "unit": engine.plan.tags[each.plan.tag].unit,
            **_value(engine, each.plan.tag, "value"),
        }
        for each in engine.annunciator.standing
    ]


def _value(engine: Engine, tag: int, name: str) -> dict[str, Any]:
    value = float(engine.twin.value[tag])
    return {name: round(value, 6) if value == value else None}  # noqa: PLR0124 (NaN is not itself)


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * resource.getpagesize() / (1 << 20), 1)
