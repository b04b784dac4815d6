"""Ranges of a fleet through broker and daemon: counted, told, and nothing else."""

import pytest

from edgetwin.core.ranges import Edges, Ranges, write

pytestmark = [pytest.mark.e2e, pytest.mark.broker]

CONFIG = """\
gateway: one
devices:
  skid:
    driver: modbus
    address: 127.0.0.1:{port}
    scan: 100 ms
    tags:
      p: {{at: 3x0001, type: float32, unit: bar}}
assets:
  pump: {{type: pump-40, tags: {{p: skid/p}}}}
upstream:
  cloud:
    broker: "mqtt://127.0.0.1:{broker}"
    window: 1 s
    challenger: {{keys: [fleet.pem], report: 2 s}}
"""


async def test_a_machine_unlike_its_fleet_is_told_and_shown(
    run_gateway, skid, subscriber, mosquitto, edgetwin, upstream_signer, tmp_path
):
    signer = upstream_signer.Signer("fleet")
    signer.save(tmp_path)
    fleet = Ranges("pump-40", 1, 1000, 40, {"p": Edges(0.0, 1.0, 3.0, 4.0)})
    text = CONFIG.format(port=skid.port, broker=mosquitto.port)
    async with run_gateway(text) as gateway:
        where = ("--state", gateway.state)
        await gateway.until_tag("skid/p", "good")
        _, said, _ = await edgetwin("status", *where)
        assert "pump: no ranges of pump-40 yet" in said
        await skid.tell(measured=[9.0, 2.0, 3.0, 4.0])
        topic = "edgetwin/one/ranges/pump-40"
        subscriber.publish(topic, signer.sign(write(fleet)), retain=True)
        subscriber.publish(topic, b"forged", retain=True)
        told = await subscriber.gets("event", lambda m: m["kind"] == "challenger")
        assert (told["subject"], told["facts"]["assets"]) == ("pump", 40)
        assert told["facts"]["challenger"] >= 1
        _, said, _ = await edgetwin("status", *where)
        assert "beside 40 of pump-40" in said
        assert "cloud: 1 message with ranges refused" in said


async def test_a_missing_key_stops_the_start_and_is_named(run_gateway, skid, mosquitto):
    async with run_gateway(CONFIG.format(port=skid.port, broker=mosquitto.port)) as gateway:
        await gateway.says("fleet.pem cannot be read")
