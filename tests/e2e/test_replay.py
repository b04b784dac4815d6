"""A recording of a real run, both protocols, a loop in auto, learning and a fault: it replays.

Also: it is what the cloud was told, a model can be learned from it, and damage is found.
"""

import json
import signal
from pathlib import Path

import pytest

from edgetwin.config import compile_text
from edgetwin.core import payload
from edgetwin.core.codec import decode
from edgetwin.core.summary import Summariser
from edgetwin.storage.recording import RecordingReader

SKID = Path(__file__).resolve().parents[2] / "config" / "pump-skid.yaml"
QUICK = {
    "assets.pump.watch.every": "25 ms",
    "assets.pump.watch.train": "120",
    "upstream.cloud.window": "1 s",
    "loops.pressure.mode": "auto",
    "devices.skid.tags.discharge_pressure.frozen_after": "500 ms",
}


def settings(**options):
    return [word for name, value in options.items() for word in ("--set", f"{name}={value}")]


def summaries(file):
    """The bodies of the summaries that a recording amounts to."""
    reader = RecordingReader(file)
    plan = compile_text(reader.header.config, reader.header.config_file)
    summariser = Summariser(plan.tags, plan.upstreams[0].window)
    frames = [decode(data) for data in reader.frames()]
    windows = [window for frame in frames for window in summariser.take(frame)]
    windows += summariser.close()
    return [json.loads(payload.summary(window, "")) for window in windows]


def body(message):
    """A summary without its envelope and the reference to its birth."""
    envelope = ("v", "gateway", "boot", "stream", "seq", "birth")
    return {key: value for key, value in message.items() if key not in envelope}


async def real_run(run_gateway, field_devices, subscriber, broker):
    """Learn, control, lose sight of the pressure, and end. Gives the recording's file."""
    async with field_devices("plant") as (plant, modbus, opcua):
        addresses = {
            "devices.skid.address": f"127.0.0.1:{modbus}",
            "devices.meter.address": f"opc.tcp://127.0.0.1:{opcua}",
            "upstream.cloud.broker": f"mqtt://127.0.0.1:{broker}",
        }
        async with run_gateway(SKID.read_text(), *settings(**QUICK, **addresses)) as gateway:
            await gateway.says("learned from 120 rows")
            plant.stdin.write(b"freeze\n")
            await gateway.says("WARNING loop pressure: skid/discharge_pressure is bad: frozen")
            await subscriber.gets("event", lambda event: event["kind"] == "loop fault")
            assert await gateway.end() == 0
    (file,) = (gateway.state / "recordings").iterdir()
    return file


@pytest.mark.e2e
@pytest.mark.broker
async def test_a_real_run_replays_bit_for_bit_and_damage_is_found(
    run_gateway, field_devices, subscriber, mosquitto, edgetwin, tmp_path
):
    file = await real_run(run_gateway, field_devices, subscriber, mosquitto.port)
    code, said, complained = await edgetwin("replay", file)
    assert (code, complained) == (0, ""), said
    assert "Every frame came out as it was recorded, bit for bit." in said
    code, said, _ = await edgetwin("replay", file, "--json")
    found = json.loads(said)
    assert (code, found["different"], found["truncated"]) == (0, 0, False)
    assert found["writes"] > 10
    assert found["events"] >= 4
    await told_the_same(subscriber, file)
    await damage_is_found(edgetwin, file, tmp_path)
    await learns_from(edgetwin, file, tmp_path)


async def told_the_same(subscriber, file):
    """What the cloud heard is what the recording says, window by window."""
    ours = [{k: v for k, v in each.items() if k != "birth"} for each in summaries(file)]
    await subscriber.gets("summary", lambda message: message["to"] == ours[-1]["to"])
    assert [body(message) for message in subscriber.of("summary")] == ours


async def damage_is_found(edgetwin, file, tmp_path):
    whole = file.read_bytes()
    middle = len(whole) // 2
    broken = tmp_path / "broken.frames"
    broken.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    code, _, complained = await edgetwin("replay", broken)
    assert code == 1
    assert f"edgetwin: {broken}: damaged at byte " in complained
    assert len(complained.splitlines()) == 1
    broken.write_bytes(whole.replace(b"gain: 150", b"gain: 151", 1))
    code, said, _ = await edgetwin("replay", broken)
    assert code == 1
    assert "frames came out differently" in said
    broken.write_bytes(whole[:-5])
    code, said, _ = await edgetwin("replay", broken)
    assert code == 0
    assert "cut off at its end" in said


async def learns_from(edgetwin, file, tmp_path):
    config = tmp_path / "again.yaml"
    config.write_text(f"state: {tmp_path / 'again'}\n{SKID.read_text()}")
    words = settings(**{"assets.pump.watch.every": "25 ms", "assets.pump.watch.train": "130"})
    code, said, complained = await edgetwin("learn", config, "--from", file, *words)
    assert (code, complained) == (0, "")
    model = tmp_path / "again" / "models" / "pump" / "0001.onnx"
    assert f"  model   {model}\n" in said
    assert "skid/discharge_pressure" in said
    words = settings(**{"assets.pump.watch.every": "25 ms", "assets.pump.watch.train": "10000"})
    code, said, complained = await edgetwin("learn", config, "--from", file, *words)
    assert (code, said) == (1, "")
    assert "rows in which all its tags are good; 10000 are wanted. Record longer" in complained
    words = settings(
        **{"devices.meter.tags.flow.at": "nsu=urn:x;s=Flow", "devices.meter.tags.x.at": "i=1"}
    )
    code, said, complained = await edgetwin("learn", config, "--from", file, *words)
    assert (code, said) == (1, "")
    assert "the recording was made with other tags (different: meter/x)" in complained


@pytest.mark.e2e
async def test_what_a_killed_daemon_recorded_replays_as_far_as_it_is_whole(
    run_gateway, skid, edgetwin
):
    text = (
        "gateway: killed\nrecording: 5 MB\ndevices:\n  skid:\n    driver: modbus\n    scan: 20 ms\n"
        f"    address: 127.0.0.1:{skid.port}\n    tags: {{p: {{at: 3x0001, type: float32}}}}\n"
    )
    async with run_gateway(text) as gateway:
        await gateway.until(lambda s: s["readings"]["good"] > 100)
        await gateway.end(signal.SIGKILL)
    (file,) = (gateway.state / "recordings").iterdir()
    code, said, _ = await edgetwin("replay", file, "--json")
    assert code == 0
    assert json.loads(said)["readings"] > 50
