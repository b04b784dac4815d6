"""``edgetwin learn``: a model before the first start, without control and without the cloud."""

import asyncio
import hashlib
import signal
import sqlite3

import pytest

pytestmark = pytest.mark.e2e

CONFIG = """\
gateway: learner
control: {{enabled: true}}
devices:
  skid:
    driver: modbus
    address: 127.0.0.1:{port}
    scan: 20 ms
    tags:
      p: {{at: 3x0001, type: float32, unit: bar}}
      n: {{at: 4x0001, type: float32, write: {{min: 0, max: 2000, rate: 5000 per s}}}}
assets:
  pump: {{tags: {{p: skid/p, n: skid/n}}, watch: {{every: 20 ms, train: {train}}}}}
loops:
  level: {{law: formula, pv: skid/p, sp: 5, mv: skid/n, is: 1500 + pv, mode: auto}}
upstream:
  cloud: {{broker: "mqtt://127.0.0.1:1", window: 100 ms}}
"""


async def said_by(gateway):
    """What it printed, once it has ended by itself: exit code, and lines on stdout."""
    said = await asyncio.wait_for(gateway.process.stdout.read(), 30)
    return await gateway.process.wait(), said.decode().splitlines()


def waiting(state):
    with sqlite3.connect(f"file:{state / 'outbox.db'}?mode=ro", uri=True) as outbox:
        (count,) = outbox.execute("SELECT count(*) FROM records").fetchone()
    outbox.close()
    return count


async def test_learns_live_writes_nothing_sends_nothing_and_the_next_start_watches(
    run_gateway, skid
):
    text = CONFIG.format(port=skid.port, train=120)
    async with run_gateway(text.replace("auto", "shadow")) as gateway:
        await gateway.until(lambda s: s["office"]["upstreams"]["cloud"]["backlog"] > 3)
        await gateway.end()
    before = waiting(gateway.state)
    pipe = {"stdout": asyncio.subprocess.PIPE}
    async with run_gateway(text, command="learn", **pipe) as learner:
        code, lines = await said_by(learner)
    assert code == 0, learner.log
    assert lines[0].startswith("pump: learning what normal is: ")
    assert len(lines) < 12
    model = learner.state / "models" / "pump" / "0001.onnx"
    assert lines[-4:] == [
        "pump: learned what is normal; the next start watches by it",
        "  tags    skid/p, skid/n",
        f"  model   {model}",
        f"  sha256  {hashlib.sha256(model.read_bytes()).hexdigest()}",
    ]
    assert (await skid.tell())["written"] == []
    assert waiting(learner.state) == before, "what waits for the cloud is none of its business"
    async with run_gateway(text) as gateway:
        await gateway.until(lambda s: s["detectors"][0]["score"] is not None)


async def test_what_holds_it_up_is_told_and_ctrl_c_stores_nothing(run_gateway, skid):
    text = CONFIG.format(port=skid.port, train=10_000)
    pipe = {"stdout": asyncio.subprocess.PIPE}
    async with run_gateway(text, command="learn", **pipe) as learner:
        line = await asyncio.wait_for(learner.process.stdout.readline(), 20)
        assert line.startswith(b"pump: learning what normal is: ")
        await skid.kill()
        async with asyncio.timeout(10):
            while b"held up: skid/" not in line:
                line = await learner.process.stdout.readline()
        await learner.says("WARNING skid")
        learner.process.send_signal(signal.SIGINT)
        code, _ = await said_by(learner)
        assert code == 1
        await learner.says("pump: no model: stopped before the end; nothing was stored")
    assert not (learner.state / "models").exists()


async def test_beside_a_running_gateway_it_refuses(run_gateway, skid, edgetwin, tmp_path):
    async with run_gateway(CONFIG.format(port=skid.port, train=10_000)) as gateway:
        await gateway.says("skid answers")
        code, said, complained = await edgetwin("learn", tmp_path / "state.yaml")
        assert (code, said) == (1, "")
        assert f"(pid {gateway.process.pid}) runs on this state directory" in complained
        assert len(complained.splitlines()) == 1


async def test_where_nothing_learns_it_says_so(edgetwin, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(
        f"gateway: g\nstate: {tmp_path / 's'}\ndevices:\n  d: {{driver: modbus, address: 127.0.0.1,"
        " tags: {a: {at: 1x0001}}}\n"
    )
    code, _, complained = await edgetwin("learn", config)
    assert code == 1
    assert "learns. Give an asset 'watch: learned'" in complained
