"""What a run of many gateways has found, and how it is told."""

import argparse
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgetwin.core import received
from edgetwin.fleet.completeness import Completeness, Hole

WHO = ("both", "challenger", "detector")


@dataclass
class Kills:
    """What was killed, and when (s after the start, UTC ms)."""

    node: str = ""
    at_ms: int = 0
    back_ms: int = 0
    member: int = 0
    leader_s: float = 0.0


@dataclass
class Outcome:
    """All that a run found."""

    proof: Completeness
    holes: list[Hole]
    beside: list[Hole]
    produced: int
    lines: list[dict[str, float]]
    kept: list[tuple[int, str, bytes]]
    challengers: list[dict[str, Any]]
    nodes: str
    kills: Kills
    seconds: float


def note(proof: Completeness, topic: str, content: bytes) -> None:
    """Take a message for what it is: a record counts, what is retained does not."""
    try:
        message = received.read(content)
    except ValueError:
        return
    if "stream" in message:
        proof.take(topic.rpartition("/")[0], message)


def now_ms() -> int:
    """UTC ms."""
    return time.time_ns() // 1_000_000


def ages(outcome: Outcome, begin: int, end: int) -> str:
    """How old summaries were when a member had them, of those made in a span of time (UTC ms)."""
    found = []
    for at, topic, content in outcome.kept:
        if topic.endswith("/summary"):
            made = received.read(content)["to"]
            if begin <= made < end:
                found.append(at - made)
    if not found:
        return "none"
    median, p99 = np.percentile(found, (50, 99))
    return f"median {median:.0f} ms, p99 {p99:.0f} ms, oldest {max(found)} ms, n={len(found)}"


def tell_challengers(outcome: Outcome) -> None:
    """What the gateways' challengers found, by what was true of their pumps."""
    lines = [c["line"] for c in outcome.challengers]
    print(
        f"ranges: {sum(line['taken'] for line in lines)} taken by gateways, "
        f"{sum(sum(line['refused'].values()) for line in lines)} refused"
    )
    for title, worn, breaks in (
        ("healthy", False, False),
        ("worn before their detectors learned", True, False),
        ("breaking down now and then", False, True),
    ):
        found = [c for c in outcome.challengers if (c["worn"], c["breaks"]) == (worn, breaks)]
        judged = [c for c in found if c["assets"]]
        counts = {key: sum(c[key] for c in judged) for key in ("windows", *WHO)}
        print(
            f"challengers of pumps {title}: {len(judged)} of {len(found)} have ranges; "
            f"{counts['windows']} windows, not normal: both {counts['both']}, only the fleet "
            f"{counts['challenger']}, only their own detector {counts['detector']}"
        )


def report(outcome: Outcome, wanted: argparse.Namespace) -> bool:
    """Print the figures; whether nothing is missing."""
    proof, kills = outcome.proof, outcome.kills
    missing = sum(hole.last - hole.first + 1 for hole in outcome.holes)
    besides = sum(hole.last - hole.first + 1 for hole in outcome.beside)
    size = sum(len(content) for _, _, content in outcome.kept)
    print(
        f"{wanted.gateways} gateways, windows of {wanted.window:g} s, {wanted.nodes} nodes, "
        f"{outcome.seconds:.0f} s\n"
        f"records: {outcome.produced} numbered on the gateways' disks, {proof.records} kept, "
        f"{len(outcome.kept) / outcome.seconds:.0f} messages/s, {size / 1e6:.1f} MB\n"
        f"missing: {missing}   doubled, and dropped by stream and sequence: {proof.doubles}   "
        f"told missing by gateways: {proof.told_missing}\n"
        f"gateways without a node for a while: "
        f"{sum(line['interrupted'] for line in outcome.lines):.0f}, the longest "
        f"{max(line['longest_s'] for line in outcome.lines):.1f} s; largest backlog of one: "
        f"{max(line['backlog'] for line in outcome.lines):.0f} records\n"
        f"a gateway: {100 * np.mean([line['cpu'] for line in outcome.lines]):.2f} % of a core, "
        f"{np.mean([line['rss_mb'] for line in outcome.lines]):.1f} MB; {outcome.nodes}\n"
        f"a stream beside, which no PUBACK answers for: {besides} missing"
    )
    tell_challengers(outcome)
    for hole in outcome.holes[:10]:
        print(f"  missing: {hole}")
    if kills.node:
        print(
            f"{kills.node} killed; a new leader after {kills.leader_s:.1f} s\n"
            f"age of summaries, before: {ages(outcome, 0, kills.at_ms - 2000)}\n"
            f"  20 s from 2 s before:   {ages(outcome, kills.at_ms - 2000, kills.at_ms + 18_000)}\n"
            f"  after:                  {ages(outcome, kills.at_ms + 18_000, now_ms())}"
        )
    else:
        print(f"age of summaries: {ages(outcome, 0, now_ms())}")
    return not missing and proof.records >= outcome.produced
