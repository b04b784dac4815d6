"""How the side-by-side bench starts edgetwin and reads what it sends.

The bench loads ``Adapter`` (every value forwarded at once, as its peers do) and ``SummaryAdapter``
(the product's own way: the twin and summaries) from this file; ``sut`` is the bench's own module.
Both use default settings but for what the plan asks; ``BENCH_WINDOW="1 s"`` has summaries made more
often than each 10 s, so that a short run holds several.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from sut import Launch, Sut, groups

ROOT = Path(__file__).resolve().parents[2]


class Adapter(Sut):
    """Raw forwarding: each scan's values go out at once."""

    VALUES = True
    WINDOW = "10 s"

    def prepare(self, plan: dict, work: Path) -> Launch:
        """Write the plan as a configuration of edgetwin."""
        self._names = _index_order(plan)
        path = work / "edgetwin.yaml"
        path.write_text(json.dumps(self._config(plan, work), indent=1))  # JSON is YAML too
        return Launch([str(ROOT / ".venv/bin/python"), "-m", "edgetwin", "run", str(path)], work)

    def samples(self, topic: str, payload: bytes) -> Iterator[tuple[str, int]]:
        """The values of one message."""
        if not topic.endswith("/values"):
            return
        for name, value in json.loads(payload)["values"].items():
            yield name.rpartition("/")[2], int(value)

    def _config(self, plan: dict, work: Path) -> dict:
        mqtt, loop = plan["mqtt"], plan.get("loop")
        config = {
            "gateway": "bench",
            "state": str(work / "state"),
            "devices": {
                name: _device(plan, name, where, tags) for name, where, tags in groups(plan)
            },
            "upstream": {
                "cloud": {
                    "broker": f"mqtt://{mqtt['host']}:{mqtt['port']}",
                    "topic": mqtt["topic"],
                    "window": self.WINDOW,
                    "values": self.VALUES,
                }
            },
        }
        if loop:
            first = plan["devices"][0]["name"]
            config["control"] = {"enabled": True}
            config["loops"] = {
                "bench": {
                    "law": "formula",
                    "is": f"(pv + {loop['offset']}) % 4294967296",
                    "pv": f"{first}/loop_read",
                    "sp": 0,
                    "mv": f"{first}/loop_write",
                    "every": f"{loop['period_ms']} ms",
                    "mode": "auto",
                }
            }
        return config


class SummaryAdapter(Adapter):
    """Summaries only; a sample is what a window's count says reached the twin."""

    VALUES = False
    WINDOW = os.environ.get("BENCH_WINDOW", "10 s")
    COUNTS = True

    def samples(self, topic: str, payload: bytes) -> Iterator[tuple[str, int]]:
        """Each polled tag's count in one window. Values come in the order of the birth message."""
        if topic.endswith("/summary"):
            counts = json.loads(payload)["count"]
            wanted = ((n, c) for n, c in zip(self._names, counts, strict=False) if n)
            yield from wanted


def _device(plan: dict, name: str, where: str, tags: list[dict]) -> dict:
    modbus = plan["protocol"] == "modbus"
    listed = {t["name"]: _tag(t["at"], modbus) for t in tags}
    loop = plan.get("loop")
    if loop and name == plan["devices"][0]["name"]:
        fast = {"scan": f"{loop['period_ms']} ms"}
        # the plant answers every read with its clock, also of the setpoint: nothing to verify
        limits = {"write": {"min": 0, "max": 4294967295, "read_back": False}}
        listed["loop_read"] = _tag(loop["read"], modbus) | fast
        listed["loop_write"] = _tag(loop["write"], modbus) | limits
    device = {"scan": f"{plan['period_ms']} ms", "tags": listed}
    if modbus:
        return {"driver": "modbus", "address": f"127.0.0.1:{where}", **device}
    return {"driver": "opcua", "address": where, "security": "none", "mode": "poll", **device}


def _tag(at: int | str, modbus: bool) -> dict:  # noqa: FBT001 (one of two protocols)
    return {"at": f"holding:{at}", "type": "uint32"} if modbus else {"at": at}


def _index_order(plan: dict) -> list[str]:
    """The tags' names in the order of the birth: by device, fast scans first; "" is the loop's."""
    names = []
    for name, _, tags in groups(plan):
        if plan.get("loop") and name == plan["devices"][0]["name"]:
            names.append("")  # loop_read, in its own faster scan; loop_write comes last
        names += [t["name"] for t in tags]
        if plan.get("loop") and name == plan["devices"][0]["name"]:
            names.append("")
    return names
