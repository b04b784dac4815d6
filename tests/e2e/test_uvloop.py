"""The daemon on uvloop: kernel timer, lines to devices, control and its end, as on asyncio."""

import importlib.util

import pytest

pytestmark = pytest.mark.e2e

CONFIG = """\
gateway: fast
control: {{enabled: true}}
devices:
  skid:
    driver: modbus
    address: 127.0.0.1:{modbus}
    scan: 50 ms
    tags:
      p: {{at: 3x0001, type: float32}}
      n: {{at: 4x0001, type: float32, write: {{min: 600, max: 1750}}}}
  serial:
    driver: modbus
    address: rtu+tcp://127.0.0.1:1
    tags: {{x: {{at: 3x0001, type: float32}}}}
  meter:
    driver: opcua
    address: opc.tcp://127.0.0.1:{opcua}
    security: none
    scan: 50 ms
    tags: {{flow: {{at: "nsu=urn:edgetwin:demo:meter;s=Flow"}}}}
loops:
  pressure: {{law: formula, is: 900 + pv, pv: skid/p, sp: 0, mv: skid/n, mode: auto}}
"""


@pytest.mark.skipif(importlib.util.find_spec("uvloop") is None, reason="edgetwin[uvloop] is absent")
async def test_daemon_on_uvloop_reads_writes_loses_and_ends(run_gateway, skid, meter):
    text = CONFIG.format(modbus=skid.port, opcua=meter.port)
    async with run_gateway(text, "--uvloop") as gateway:
        await gateway.until_tag("skid/p", "good")
        await gateway.until_tag("meter/flow", "good")
        await gateway.until(lambda s: s["writes"] and s["ticks"]["woken"] > 20)
        assert (await skid.tell())["written"]
        await skid.kill()
        await gateway.until_tag("skid/p", "bad")
        await skid.start()
        await gateway.until_tag("skid/p", "good")
        assert await gateway.end() == 0
        assert not gateway.count("Traceback")


async def test_uvloop_that_is_not_installed_is_told_with_the_cure(edgetwin, tmp_path):
    (tmp_path / "uvloop.py").write_text("raise ImportError('as if it were not there')\n")
    (tmp_path / "c.yaml").write_text(
        "gateway: g\nstate: s\ndevices: {d: {driver: modbus, address: 127.0.0.1:1,"
        " tags: {x: {at: 3x0001, type: uint16}}}}\n"
    )
    code, _, complained = await edgetwin("run", "c.yaml", "--uvloop")
    assert code == 1
    assert "pip install 'edgetwin[uvloop]'" in complained
