"""Each way to lose a server, once; fifty rounds: scripts/campaigns/opcua_returns."""

import importlib.util
import logging
import sys
from pathlib import Path

ALLOWED_S = 10.0
SETTINGS = "timeout: 400 ms\n    retry: 1 s"
OUTAGE_S = {"cable": 1.0, "hang": 1.0}


def _returns():
    path = Path(__file__).with_name("returns.py")
    spec = importlib.util.spec_from_file_location("edgetwin_returns", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


returns = _returns()


async def test_after_each_fault_values_flow_again_and_nothing_is_left(caplog):
    caplog.set_level(logging.CRITICAL)
    async with returns.Returns(SETTINGS) as bench:
        before = returns.Held.now()
        for fault in returns.FAULTS:
            record = returns.Record(fault, OUTAGE_S.get(fault, 0.0))
            await bench.round(fault, record.outage_s, record)
            assert max(record.polled + record.subscribed) < ALLOWED_S, fault
        after = returns.Held.now()
        assert (after.tasks, after.descriptors) == (before.tasks, before.descriptors)
        assert [each.health.failures for each in bench.supervisors] == [0, 0]


async def test_cable_pulled_while_connecting_is_survived():
    async with returns.Returns("timeout: 300 ms") as bench:
        record = returns.Record("cable", 0.0)
        for outage_s in (0.35, 0.5, 0.65, 0.8):
            await bench.round("cable", outage_s, record)
    assert max(record.polled + record.subscribed) < ALLOWED_S
