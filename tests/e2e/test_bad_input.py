"""Bad input gets one clear sentence and costs nothing else.

In each case a good device is read beside the bad thing, and goes on being read.
"""

import asyncio
import math
import shutil
import socket

import pytest

pytestmark = pytest.mark.e2e

GOOD = """\
gateway: bad-input
control: {{enabled: true}}
devices:
  skid:
    driver: modbus
    address: 127.0.0.1:{port}
    scan: 50 ms
    timeout: 200 ms
    retry: 200 ms
    tags:
      p: {{at: 3x0001, type: float32, unit: bar}}
      q: {{at: 3x0003, type: float32}}
      n: {{at: 4x0001, type: float32, write: {{min: 0, max: 2000, rate: 5000 per s}}}}
"""
LOOP = """\
loops:
  level: {{law: formula, pv: {pv}, sp: 5, mv: skid/n, is: {law}, mode: auto}}
"""
ASSET = """\
  {name}: {{tags: {{p: skid/p, q: skid/q}}, watch: {{every: 20 ms, train: 120}}}}
"""
SPOILED = {
    "missing": (lambda file: file.unlink(), "0001.onnx is missing"),
    "altered": (lambda file: file.write_bytes(file.read_bytes()[:-1] + b"\0"), "was altered"),
    "manifest": (lambda file: file.with_name("current.json").write_text("{"), "cannot be read"),
}
GIVEN = """\
assets:
  one: {{tags: {{p: skid/p, q: skid/q}}, watch: {{model: nowhere.onnx}}}}
  two: {{tags: {{p: skid/p, q: skid/q}}, watch: {{model: given.onnx}}}}
  three: {{tags: {{p: skid/p, q: skid/q}}, watch: {{model: given.onnx, sha256: {sha256}}}}}
"""
MODBUS = """\
  {name}:
    driver: modbus
    address: 127.0.0.1:{port}
    scan: 50 ms
    timeout: 100 ms
    retry: 200 ms
    unit: {unit}
    tags: {{x: {{at: 3x0001, type: float32}}}}
"""
OPCUA = """\
  {name}:
    driver: opcua
    address: opc.tcp://127.0.0.1:{port}
    security: {security}
    scan: 50 ms
    timeout: 1 s
    retry: 200 ms
    tags:
      flow: {{at: "nsu=urn:edgetwin:demo:meter;s=Flow"}}
      none: {{at: "nsu=urn:edgetwin:demo:meter;s=Pressure"}}
"""
ROUNDS = 20
"""Scans of the good device: 1 s, time for several tries, in which nothing may be said again."""


def good_of_skid(status):
    """How many tags of the good device are good right now: on a busy machine some may be late."""
    return next(d["good"] for d in status["devices"] if d["name"] == "skid")


async def told_once(gateway, *sentences):
    """Each sentence (its words) is told, none twice; the good device is read all the while."""
    for words in sentences:
        await gateway.says(words[0])
    before = await gateway.status()
    tags = next(d["tags"] for d in before["devices"] if d["name"] == "skid")
    enough = before["readings"]["good"] + ROUNDS * tags
    after = await gateway.until(lambda s: s["readings"]["good"] > enough and good_of_skid(s))
    log = "\n".join(gateway.log)
    lines = [line.partition(" ")[2] for line in gateway.log]
    for words in sentences:
        assert any(all(word in line for word in words) for line in lines), (words, log)
        told = [line for line in lines if words[0] in line]
        assert len(told) == len(set(told)), log
    assert "Traceback" not in log, log
    assert len(gateway.log) < 10 + 4 * len(sentences), log
    return after


@pytest.fixture
def nobody():
    """A port at which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
async def camera():
    """A port taken by something else: a web server."""

    async def serve(reader, writer):
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


# ---------------------------------------------------------------- devices


async def test_each_modbus_device_in_trouble_is_told_once_with_the_cure(
    run_gateway, skid, other, silent, nobody, camera
):
    await other.tell(read="busy")
    cases = {
        "dead": (nobody, 1, f"dead at 127.0.0.1:{nobody}: the connection is refused", "Check"),
        "camera": (
            camera,
            1,
            f"camera at 127.0.0.1:{camera}: what comes",
            "no Modbus TCP",
            "Check",
        ),
        "unit": (skid.port, 7, "unit at ", "unit 7", "exception 11", "Check `unit: 7`"),
        "silent": (silent.port, 1, "silent at ", "did not answer 3 times", "Check that `unit: 1`"),
        "busy": (other.port, 1, "busy: busy/x (3x0001): server device busy (exception 6)"),
    }
    text = GOOD.format(port=skid.port) + "      x: {at: 3x0099, type: float32}\n"
    for name, (port, unit, *_) in cases.items():
        text += MODBUS.format(name=name, port=port, unit=unit)
    async with run_gateway(text) as gateway:
        illegal = ("skid/x (3x0099)", "illegal data address", "Correct its address in", "yaml:15")
        status = await told_once(gateway, illegal, *(words for _, _, *words in cases.values()))
        assert {d["name"] for d in status["devices"] if d["up"]} == {"skid"}
        assert all(gateway.count(f"{name} answers") == 0 for name in cases)
        assert (await gateway.tag("skid/x"))["quality"] == "bad: config error"
        assert (await gateway.tag("silent/x"))["quality"] == "bad: no communication"
        await other.tell(read="answer")
        await gateway.says("busy answers")


async def test_each_opcua_server_in_trouble_is_told_once_with_the_cure(
    run_gateway, skid, meter, nobody, camera, secure_server, edgetwin
):
    cases = {
        "dead": (nobody, "none", f"dead (opc.tcp://127.0.0.1:{nobody}): ", "Is the server running"),
        "camera": (camera, "none", "camera (opc", "Is it an OPC UA server"),
        "plain": (meter.port, "sign", "plain (opc", "it offers None", "'security'"),
        "unknown": (
            secure_server,
            "sign and encrypt",
            "unknown (opc",
            "certificate",
            "edgetwin trust ",
        ),
        "flow": (meter.port, "none", "flow/none (nsu=", "'at'", "BadNodeIdUnknown"),
    }
    text = GOOD.format(port=skid.port)
    for name, (port, security, *_) in cases.items():
        text += OPCUA.format(name=name, port=port, security=security)
    warned = "anybody on the network"
    async with run_gateway(text) as gateway:
        await gateway.says("BadNodeIdUnknown")
        gateway.log[:] = [line for line in gateway.log if warned not in line]
        status = await told_once(gateway, *(words for _, _, *words in cases.values()))
        assert {d["name"] for d in status["devices"] if d["up"]} == {"skid", "flow"}
        assert (await gateway.tag("flow/none"))["quality"] == "bad: config error"
        assert (await gateway.tag("flow/flow"))["quality"] == "good"
        trust = next(d for d in status["devices"] if d["name"] == "unknown")["reason"]
        words = trust.partition("edgetwin ")[2].rstrip(".").split()
        code, _, complained = await edgetwin(*words)
        assert code == 0, complained
        await gateway.says("unknown answers")


# ---------------------------------------------------------------- values


async def test_no_number_from_a_sensor_is_bad_and_the_loop_goes_to_its_fail_safe(run_gateway, skid):
    text = GOOD.format(port=skid.port) + LOOP.format(pv="skid/p", law="1000 + pv")
    async with run_gateway(text) as gateway:
        await gateway.until(lambda s: s["loops"][0]["state"] == "auto")
        for value in (math.inf, -math.inf, math.nan):
            await skid.tell(measured=[1.0, 2.0, 3.0, 4.0])
            await gateway.until(lambda s: s["loops"][0]["state"] == "auto")
            await skid.tell(measured=[value, 2.0, 3.0, 4.0])
            await gateway.until(lambda s: "not a number" in s["loops"][0]["state"])
            assert (await gateway.tag("skid/p"))["quality"] == "bad: not a number"
            assert (await gateway.tag("skid/q"))["quality"] == "good"
        line = await gateway.says("loop level: skid/p is bad: not a number")
        assert "skid/n stays as it is" in line
        await gateway.says("WARNING skid/p is bad: not a number")
        enough = (await gateway.status())["readings"]["good"] + 2 * ROUNDS
        await gateway.until(lambda s: s["readings"]["good"] > enough)
        assert gateway.count("WARNING skid/p is bad: not a number") <= 3
        assert gateway.count("loop level: skid/p is bad") == 3
        assert all(map(math.isfinite, (await skid.tell())["written"]))


@pytest.mark.parametrize(
    ("write", "outcome"),
    [("refuse", "refused"), ("alter", "not verified"), ("forget", "not verified")],
)
async def test_a_setpoint_that_is_not_taken_is_written_twice_and_no_more(
    run_gateway, skid, write, outcome
):
    await skid.tell(write=write)
    text = GOOD.format(port=skid.port) + LOOP.format(pv="skid/p", law="1100 + pv")
    async with run_gateway(text) as gateway:
        line = await gateway.says("Set the mode again")
        assert "skid/n was not written as asked" in line
        await told_once(gateway, ("Set the mode again", "loop level: skid/n", outcome))
        written = (await skid.tell(write="take"))["written"]
        assert len(written) == 2
        assert (await gateway.status())["loops"][0]["faulted"]
        await gateway.set_mode("level", "auto")
        await gateway.until(
            lambda s: s["loops"][0]["state"] == "auto" and s["loops"][0]["mv"] > 1050
        )


# ---------------------------------------------------------------- models


async def test_a_model_that_is_not_what_was_learned_gives_no_verdict_and_control_goes_on(
    run_gateway, skid
):
    text = GOOD.format(port=skid.port) + "assets:\n" + ASSET.format(name="learned")
    async with run_gateway(text) as gateway:
        await gateway.says("learned: learned from 120 rows")
        await gateway.end()
    text = GOOD.format(port=skid.port) + "assets:\n"
    for name, (spoil, _) in SPOILED.items():
        folder = gateway.state / "models" / name
        shutil.copytree(folder.with_name("learned"), folder)
        spoil(folder / "0001.onnx")
        text += ASSET.format(name=name)
    async with run_gateway(text + LOOP.format(pv="skid/p", law="1000 + pv")) as gateway:
        sentences = [(f"WARNING {name}: no verdict", says) for name, (_, says) in SPOILED.items()]
        status = await told_once(gateway, *sentences)
        await no_verdicts(gateway, status)
        assert status["loops"][0]["state"] == "auto"


async def no_verdicts(gateway, status):
    for detector in status["detectors"]:
        assert detector["state"].startswith("unavailable: ")
        assert detector["score"] is None
        assert (await gateway.tag(f"{detector['name']}/verdict"))["quality"] == "bad"


async def test_a_given_model_that_cannot_be_used_gives_no_verdict(run_gateway, skid, tmp_path):
    (tmp_path / "given.onnx").write_bytes(b"MZ this is no model")
    text = GOOD.format(port=skid.port) + GIVEN.format(sha256="ab" * 32)
    async with run_gateway(text) as gateway:
        status = await told_once(
            gateway,
            ("WARNING one: no verdict", "nowhere.onnx is missing"),
            ("WARNING two: no verdict", "this is no ONNX file that can be run"),
            ("WARNING three: no verdict", "was altered: its SHA-256 is"),
        )
        await no_verdicts(gateway, status)


# ---------------------------------------------------------------- brokers


async def test_each_broker_in_trouble_is_told_once_with_the_cure_and_records_wait(
    run_gateway, skid, nobody, camera, tls_server
):
    text = GOOD.format(port=skid.port) + "upstream:\n"
    text += f"  dead: {{broker: 'mqtt://127.0.0.1:{nobody}', window: 100 ms}}\n"
    text += f"  camera: {{broker: 'mqtt://127.0.0.1:{camera}', window: 100 ms}}\n"
    text += f"  unknown: {{broker: 'mqtts://127.0.0.1:{tls_server}', window: 100 ms}}\n"
    async with run_gateway(text) as gateway:
        status = await told_once(
            gateway,
            ("WARNING upstream dead", "nothing listens there", "start the broker"),
            ("WARNING upstream camera", str(camera), "MQTT"),
            ("WARNING upstream unknown", "certificate", "'ca_file'"),
        )
        for upstream in status["office"]["upstreams"].values():
            assert not upstream["connected"]
            assert upstream["backlog"] > 5


@pytest.mark.broker
async def test_a_broker_that_refuses_the_password_is_told_once(
    run_gateway, skid, upstream_rig, tmp_path
):
    if upstream_rig.find_mosquitto() is None:
        pytest.skip("mosquitto is not installed (Debian: apt install mosquitto)")
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    (folder / "known").touch(0o600)
    (tmp_path / "secret").write_text("opensesame\n")
    broker = upstream_rig.Mosquitto(folder, f"password_file {folder / 'known'}", anonymous=False)
    broker.start()
    try:
        text = GOOD.format(port=skid.port) + "upstream:\n"
        text += f"  cloud: {{broker: 'mqtt://127.0.0.1:{broker.port}', user: pump,"
        text += f" password_file: {tmp_path / 'secret'}, window: 100 ms}}\n"
        async with run_gateway(text) as gateway:
            words = ("WARNING upstream cloud", "refuses user 'pump'", "'password_file'")
            await told_once(gateway, words)
            assert gateway.count("opensesame") == 0
    finally:
        broker.stop()
