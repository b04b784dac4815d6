"""A driver with a bug in a real daemon: it is put aside, and its neighbour never notices."""

import os

import pytest

pytestmark = pytest.mark.e2e

CONFIG = """\
gateway: supervision
devices:
  skid: {{driver: modbus, address: "127.0.0.1:{port}", scan: 50 ms,
          tags: {{p: {{at: 3x0001, type: float32, unit: bar}}}}}}
  broken: {{driver: modbus, address: "127.0.0.1:{port}", scan: 50 ms,
            tags: {{p: {{at: 3x0001, type: float32, unit: bar}}}}}}
"""
BUG = """\
from edgetwin.devices.modbus.driver import ModbusDriver

made = ModbusDriver.__init__
scan = ModbusDriver.start_scan


def __init__(self, device, *rest):
    made(self, device, *rest)
    self.broken = device.name == "broken"


def start_scan(self, group):
    if self.broken:
        raise ZeroDivisionError("a bug put in by a test")
    return scan(self, group)


ModbusDriver.__init__, ModbusDriver.start_scan = __init__, start_scan
"""


async def test_driver_with_a_bug_is_quarantined_and_its_neighbour_goes_on(
    run_gateway, skid, tmp_path
):
    (tmp_path / "sitecustomize.py").write_text(BUG)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    text = CONFIG.format(port=skid.port)
    async with run_gateway(text, env={**os.environ, "PYTHONPATH": path}) as gateway:
        await gateway.says("it is tried again every 60 s. Please report this")
        status = await gateway.until(lambda s: s["devices"][1]["quarantined"])
        good, broken = status["devices"]
        assert (good["up"], good["losses"], good["driver_failures"]) == (True, 0, 0)
        assert (broken["up"], broken["driver_failures"]) == (False, 4)
        assert (await gateway.tag("skid/p"))["quality"] == "good"
        assert await gateway.end() == 0
    assert gateway.count("ZeroDivisionError: a bug put in by a test") == 3
    assert gateway.count("the driver failed 4 times within 60 s") == 1
