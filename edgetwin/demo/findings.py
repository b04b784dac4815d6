"""What the story reads out of summaries and status: spans, changes, and the table at the end."""

from collections.abc import Iterable
from dataclasses import dataclass

from edgetwin.demo.gateway import Status
from edgetwin.demo.subscriber import Message, Received

RAW_BYTES = 16
"""What one reading would take if it were sent as it is: a float64 and a 64-bit time."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where a value was over some windows."""

    low: float
    high: float
    unit: str

    @property
    def width(self) -> float:
        """From lowest to highest."""
        return self.high - self.low

    def __str__(self) -> str:
        return f"{self.low:.2f} to {self.high:.2f} {self.unit}"


def pressure_span(seen: Received, summaries: Iterable[Message], tag: str) -> Span | None:
    """Lowest and highest of a tag over summaries; None if they never tell of it."""
    rows = [row for summary in summaries if (row := seen.table(summary).get(tag)) and row["count"]]
    if not rows:
        return None
    return Span(min(row["min"] for row in rows), max(row["max"] for row in rows), seen.unit(tag))


def largest_changes(seen: Received, before: Message, after: Message, count: int = 3) -> str:
    """The measured tags whose means differ most, relative to what they were, in words."""
    was, now = seen.table(before), seen.table(after)
    moved = []
    for tag in seen.births[-1]["tags"]:
        name = tag["name"]
        old, new = was[name]["mean"], now[name]["mean"]
        if tag["kind"] == "measured" and tag.get("unit") and old and new is not None:
            moved.append((abs(new / old - 1), f"{name} {new:.3g} {tag['unit']} (was {old:.3g})"))
    return ", ".join(text for _, text in sorted(moved, reverse=True)[:count])


def record_table(status: Status, seen: Received) -> list[tuple[str, str]]:
    """The account of the whole run: what the daemon counted, and what the subscriber got."""
    kinds = [event["kind"] for event in seen.events]
    readings, quantiles = status["readings"], status["sense_to_write_us"]
    taken = max(1, readings["taken"])
    refused = kinds.count("write refused") + kinds.count("write failed")
    raw = taken * RAW_BYTES
    return [
        ("points read", f"{readings['taken']}, {100 * readings['good'] / taken:.2f} % good"),
        ("anomalies", f"{kinds.count('anomaly')}, cleared {kinds.count('anomaly cleared')}"),
        ("writes", f"{status['writes']}, refused or failed {refused}"),
        ("sense to write", f"p50 {_ms(quantiles, 'p50')}, p99 {_ms(quantiles, 'p99')}"),
        ("records", f"{seen.records} received, missing {seen.missing}, doubled {seen.doubles}"),
        ("bytes", f"{raw:,} raw, {seen.size:,} sent: {100 * seen.size / raw:.0f} %"),
        ("captures", f"{seen.captured:,} bytes of raw seconds around what was not normal"),
        ("memory", f"{status['rss_mb']:.0f} MB RSS, peak {status['peak_rss_mb']:.0f} MB"),
        ("CPU", f"{100 * status['cpu_s'] / max(1.0, status['uptime_s']):.1f} % of one core"),
    ]


def _ms(quantiles: dict[str, float], name: str) -> str:
    return f"{quantiles[name] / 1000:.2f} ms" if quantiles else "none"
