"""The configurations that ship run as they are; only addresses are set to this test's."""

import asyncio
import json
import os
import re
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "config"


def test_the_shortest_useful_configuration_fits_on_half_a_screen():
    assert len((CONFIGS / "minimal.yaml").read_text().splitlines()) <= 15


def test_every_shipped_configuration_is_run_below():
    assert {p.name for p in CONFIGS.glob("*.yaml")} == {"minimal.yaml", "pump-skid.yaml"}


@asynccontextmanager
async def device(**options):
    """A Modbus TCP device in a process of its own; gives its port."""
    script = Path(__file__).with_name("modbus_device.py")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(script), "0"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    ready = await asyncio.wait_for(process.stdout.readline(), 10)
    process.stdin.write(json.dumps(options).encode() + b"\n")
    await asyncio.wait_for(process.stdout.readline(), 10)
    try:
        yield int(ready.split()[1])
    finally:
        process.stdin.close()
        await asyncio.wait_for(process.wait(), 10)


@pytest.mark.e2e
@pytest.mark.broker
async def test_minimal_reaches_the_cloud(run_gateway, subscriber, mosquitto):
    text = (CONFIGS / "minimal.yaml").read_text()
    async with device(held=[4.25, 12.5]) as port:
        addresses = (
            *("--set", f"devices.skid.address=127.0.0.1:{port}"),
            *("--set", f"upstream.cloud.broker=mqtt://127.0.0.1:{mosquitto.port}"),
            *("--set", "upstream.cloud.window=1 s"),
        )
        await holds(run_gateway, subscriber, text, addresses)


async def holds(run_gateway, subscriber, text, addresses):
    async with run_gateway(text, *addresses) as gateway:
        birth = await subscriber.gets("birth")
        names = [tag["name"] for tag in birth["tags"]]
        assert sorted(names) == ["skid/flow", "skid/pressure", "skid/running"]
        summary = await subscriber.gets("summary", lambda s: all(s["count"]))
        assert summary["last"][names.index("skid/pressure")] == 4.25
        assert summary["last"][names.index("skid/flow")] == 12.5
        assert summary["last"][names.index("skid/running")] == 1
        assert await gateway.end() == 0


@pytest.mark.e2e
@pytest.mark.broker
async def test_pump_skid_runs_both_protocols_and_its_loop_in_shadow(
    run_gateway, field_devices, subscriber, mosquitto
):
    text = re.sub("^state:.*\n", "", (CONFIGS / "pump-skid.yaml").read_text(), flags=re.MULTILINE)
    async with field_devices("plant") as (_, modbus, opcua):
        addresses = (
            *("--set", f"devices.skid.address=127.0.0.1:{modbus}"),
            *("--set", f"devices.meter.address=opc.tcp://127.0.0.1:{opcua}"),
            *("--set", f"upstream.cloud.broker=mqtt://127.0.0.1:{mosquitto.port}"),
            *("--set", "upstream.cloud.window=1 s"),
        )
        async with run_gateway(text, *addresses) as gateway:
            await gateway.says("running")
            status = await gateway.until(
                lambda s: all(d["good"] == d["tags"] for d in s["devices"])
            )
            assert {d["driver"] for d in status["devices"]} == {"modbus", "opcua"}
            assert status["loops"][0]["mode"] == "shadow"
            await subscriber.gets("summary", lambda s: all(s["count"][:9]))
            assert (await gateway.status())["writes"] == 0
            assert await gateway.end() == 0


def test_they_are_checked_without_an_environment(tmp_path):
    for path in sorted(CONFIGS.glob("*.yaml")):
        done = subprocess.run(
            [sys.executable, "-m", "edgetwin", "check", str(path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        )
        assert done.returncode == 0, done.stderr
        assert "no errors; no connection was opened" in done.stdout
