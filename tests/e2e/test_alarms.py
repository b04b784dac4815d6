"""Alarms, reports and captures of a running gateway, as a person and as a subscriber see them."""

import pytest

from edgetwin.core import received
from edgetwin.core.capture import PART_BYTES

pytestmark = [pytest.mark.e2e, pytest.mark.broker]

CONFIG = """\
gateway: g
classes:
  lines: {{report: {{within: 0.1, by: step, heartbeat: 1 s}}}}
devices:
  skid:
    driver: modbus
    address: 127.0.0.1:{skid}
    scan: 100 ms
    tags:
      p:
        at: 3x0001
        type: float32
        unit: bar
        class: lines
        alarms: {{high: {{above: 8 bar, on_delay: 200 ms, priority: 1, advice: Close V7}}}}
      q: {{at: 3x0003, type: float32}}
upstream:
  cloud: {{broker: "mqtt://127.0.0.1:{broker}", window: 1 s}}
"""


async def test_alarm_is_told_seen_acknowledged_and_shelved(
    run_gateway, skid, subscriber, mosquitto, edgetwin
):
    await subscriber.ready()
    text = CONFIG.format(skid=skid.port, broker=mosquitto.port)
    async with run_gateway(text) as gateway:
        await gateway.until_tag("skid/p", "good")
        await skid.tell(measured=[9.0, 2.0, 3.0, 4.0])
        told = await subscriber.gets("event", lambda m: m["kind"] == "alarm")
        assert told["text"] == "skid/p.high: 9 bar is above 8 bar. Close V7"

        where = ("--state", gateway.state)
        _, said, _ = await edgetwin("status", *where)
        assert "alarms    skid/p.high (9 bar, not acknowledged)" in said
        code, said, _ = await edgetwin("alarm", "skid/p.high", "ack", *where)
        assert (code, said.partition(", by ")[0]) == (0, "skid/p.high: acknowledged")
        await subscriber.gets("event", lambda m: m["facts"].get("state") == "acknowledged")

        _, said, _ = await edgetwin("alarm", "*", "shelve", "1", "h", *where)
        assert said.startswith("skid/p.high: shelved for 1 h by ")
        _, said, _ = await edgetwin("alarm", *where)
        assert said.startswith("skid/p.high (priority 1): 9 bar, shelved by ")
        code, _, complained = await edgetwin("alarm", "skid/p.low", "ack", *where)
        assert (code, "Alarms here: skid/p.high" in complained) == (1, True)
        code, _, complained = await edgetwin("alarm", "skid/p.high", "shelve", *where)
        assert (code, "say for how long, like shelve 1 h" in complained) == (1, True)


async def test_report_and_summary_share_the_tags_and_the_birth_explains_both(
    run_gateway, skid, subscriber, mosquitto
):
    await subscriber.ready()
    async with run_gateway(CONFIG.format(skid=skid.port, broker=mosquitto.port)) as gateway:
        await gateway.until_tag("skid/p", "good")
        await skid.tell(measured=[5.0, 2.0, 3.0, 4.0])
        report = await subscriber.gets("report", lambda m: "5" in str(m["points"]))
        summary = await subscriber.gets("summary")
        birth = await subscriber.gets("birth")
    assert received.points(report, birth)["skid/p"][-1][1] == 5.0
    assert set(received.tabulate(summary, birth)) == {"skid/q"}
    assert birth["tags"][0]["report"] == {"by": "step", "within": 0.1, "every": 1000}


WATCHED = CONFIG.replace(
    "upstream:",
    "assets: {{pump: {{tags: {{p: skid/p, q: skid/q}}, watch: "
    "{{every: 100 ms, train: 60, window: 5, capture: {{before: 2 s, after: 1 s}}}}}}}}\nupstream:",
)


async def test_anomaly_sends_the_raw_seconds_around_it(run_gateway, skid, subscriber, mosquitto):
    await subscriber.ready()
    async with run_gateway(WATCHED.format(skid=skid.port, broker=mosquitto.port)) as gateway:
        await gateway.until(lambda s: s["detectors"][0]["state"].startswith("normal"))
        await skid.tell(measured=[1.0, 900.0, 3.0, 4.0])
        anomaly = await subscriber.gets("event", lambda m: m["kind"] == "anomaly")
        last = await subscriber.gets("capture", lambda m: m["final"])
        birth = await subscriber.gets("birth")
    parts = subscriber.of("capture")
    assert (last["subject"], last["at"], last["cut"]) == ("pump", anomaly["at"], False)
    assert [part["part"] for part in parts] == list(range(1, len(parts) + 1))
    rows = [row for part in parts for row in received.raw(part, birth).get("skid/q", ())]
    assert {2.0, 900.0} <= {value for _, value in rows}
    assert 1500 <= anomaly["at"] - rows[0][0] <= 2000
    assert max(len(str(part)) for part in parts) <= 2 * PART_BYTES
