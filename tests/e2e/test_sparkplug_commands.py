"""Commands of a Sparkplug host through daemon, broker and device: obeyed only if so configured."""

import time

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edgetwin.core.sparkplug.metric import DataType, Metric, Payload
from edgetwin.upstream.sparkplug_wire import encode

pytestmark = [pytest.mark.e2e, pytest.mark.broker]

CONFIG = """\
gateway: spb
control: {{enabled: true}}
devices:
  skid:
    driver: modbus
    address: 127.0.0.1:{port}
    scan: 50 ms
    tags:
      n: {{at: 4x0001, type: float32, write: {{min: -50, max: 1750}}}}
      m: {{at: 4x0003, type: float32, write: {{min: 0, max: 10}}}}
upstream:
  scada:
    broker: "mqtt://127.0.0.1:{broker}"
    sparkplug: {{group: plant}}
"""
ALLOWED = "    requests: {unsigned: true, tags: [skid/n]}\n"


class Host:
    """Sends DCMD and NCMD, as anybody at the broker can."""

    def __init__(self, port):
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="host")
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def write(self, name, value, *, late_ms=0, alias=None, device="/skid", **options):
        now = time.time_ns() // 1_000_000 - late_ms
        kind = DataType.STRING if isinstance(value, str) else DataType.DOUBLE
        payload = Payload(now, (Metric(now, kind, value, name, alias),))
        verb = "DCMD" if device else "NCMD"
        topic = f"spBv1.0/plant/{verb}/spb{device}"
        self._client.publish(topic, encode(payload), qos=1, **options)

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def host(mosquitto):
    made = Host(mosquitto.port)
    yield made
    made.close()


async def born(gateway):
    await gateway.says("born with bdSeq")
    await gateway.until_tag("skid/n", "good")


def refused(count):
    return lambda s: s["office"]["upstreams"]["scada"]["refused"] == count


async def test_a_host_that_writes_is_refused_unless_it_is_allowed_by_name(
    run_gateway, skid, mosquitto, host
):
    await skid.tell(held=[1000.0, 5.0])
    async with run_gateway(CONFIG.format(port=skid.port, broker=mosquitto.port)) as gateway:
        await born(gateway)
        host.write("n", 1200.0)
        await gateway.says("writing from upstream is not enabled")
        assert (await skid.tell())["written"] == []


async def test_listed_tags_go_to_the_guard_and_all_else_is_refused(
    run_gateway, skid, mosquitto, host
):
    await skid.tell(held=[1000.0, 5.0])
    text = CONFIG.format(port=skid.port, broker=mosquitto.port) + ALLOWED
    async with run_gateway(text) as gateway:
        await born(gateway)
        await gateway.says("whoever may publish at this broker can write")
        host.write("n", 1200.0)
        await gateway.says("skid/n to 1200: applied")
        host.write("", -20.0, alias=1)
        await gateway.says("skid/n to -20: applied")
        for case in (
            {"name": "m", "value": 6.0},
            {"name": "n", "value": 1751.0},
            {"name": "n", "value": float("nan")},
            {"name": "n", "value": "1100"},
            {"name": "n", "value": 1100.0, "late_ms": 31_000},
            {"name": "n", "value": 1100.0, "late_ms": -6_000},
            {"name": "skid/n", "value": 1100.0, "device": ""},
            {"name": "", "value": 6.0, "alias": 2},
            {"name": "", "value": 6.0, "alias": 99},
        ):
            host.write(**case)
        status = await gateway.until(refused(9))
        told = status["office"]["requests"]["scada"]
        assert told["ended"] == {"applied": 2, "invalid": 1}
        assert "unsigned" in status["office"]["upstreams"]["scada"]["warning"]
        assert (await skid.tell())["written"] == [1200.0, -20.0]


async def test_a_retained_command_is_refused(run_gateway, skid, mosquitto, host):
    await skid.tell(held=[1000.0, 5.0])
    host.write("n", 1200.0, retain=True)
    text = CONFIG.format(port=skid.port, broker=mosquitto.port) + ALLOWED
    async with run_gateway(text) as gateway:
        await gateway.says("was retained")
        assert (await skid.tell())["written"] == []
