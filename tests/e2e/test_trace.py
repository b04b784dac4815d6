"""A real rig's trace through real servers into the daemon: does the cloud hear the right thing?

The rig's eight sensors are split over Modbus TCP and OPC UA; time runs 25 times faster. The daemon
learns on the first 400 rows; then a valve at the inlet is closed by degrees.
"""

import pytest

MODBUS = ("Accelerometer1RMS", "Accelerometer2RMS", "Current", "Pressure")
OPCUA = ("Temperature", "Thermocouple", "Voltage", "Volume Flow RateRMS")
ROW_S = 0.04
ROWS = 1150
EVENT = (572, 970)  # rows in which the file's own label says that the valve is being closed
SLACK = 20  # how far this machine's timing may shift the row

CONFIG = """\
gateway: rig
devices:
  a:
    driver: modbus
    address: 127.0.0.1:{modbus}
    scan: 20 ms
    tags:
      acceleration1: {{at: 3x0001, type: float32, unit: g}}
      acceleration2: {{at: 3x0003, type: float32, unit: g}}
      current: {{at: 3x0005, type: float32, unit: A}}
      pressure: {{at: 3x0007, type: float32, unit: bar}}
  b:
    driver: opcua
    address: opc.tcp://127.0.0.1:{opcua}
    security: none
    mode: poll
    scan: 20 ms
    tags:
      motor_temperature: {{at: "nsu=urn:edgetwin:demo:meter;s=Temperature", unit: degC}}
      fluid_temperature: {{at: "nsu=urn:edgetwin:demo:meter;s=Thermocouple", unit: degC}}
      voltage: {{at: "nsu=urn:edgetwin:demo:meter;s=Voltage", unit: V}}
      flow: {{at: "nsu=urn:edgetwin:demo:meter;s=Volume Flow RateRMS", unit: l/min}}
assets:
  rig:
    tags: {{a1: a/acceleration1, a2: a/acceleration2, i: a/current, p: a/pressure,
           tm: b/motor_temperature, tf: b/fluid_temperature, u: b/voltage, q: b/flow}}
    watch: {{every: 40 ms, train: 400}}
upstream:
  cloud: {{broker: "mqtt://127.0.0.1:{broker}", window: 5 s}}
"""


@pytest.mark.e2e
@pytest.mark.shared
@pytest.mark.broker
async def test_a_closing_valve_reaches_the_cloud_with_the_right_sensor_first(
    run_gateway, field_devices, subscriber, mosquitto, shared
):
    trace = shared / "data" / "skab" / "valve1" / "11.csv"
    arguments = ("--csv", str(trace), "--every", str(ROW_S))
    columns = ("--modbus", ",".join(MODBUS), "--opcua", ",".join(OPCUA))
    async with field_devices("rows", *arguments, *columns) as (rows, modbus, opcua):
        text = CONFIG.format(modbus=modbus, opcua=opcua, broker=mosquitto.port)
        async with run_gateway(text) as gateway:
            await gateway.says("a answers")
            await gateway.says("b answers")
            rows.stdin.write(b"go\n")
            seconds = ROW_S * ROWS
            learned = await subscriber.gets("event", is_about("learned"), 3 * seconds)
            anomaly = await subscriber.gets("event", is_about("anomaly"), 3 * seconds)
            assert await gateway.end() == 0
    assert learned["facts"]["rows"] == 400
    shares = {name: share for name, share in anomaly["facts"].items() if "/" in name}
    first = max(shares, key=shares.get)
    assert first == "b/flow", anomaly["text"]
    assert "mostly b/flow" in anomaly["text"]
    row = 400 + (anomaly["at"] - learned["at"]) / 1000 / ROW_S
    assert EVENT[0] - SLACK < row < EVENT[1], f"alarm at row {row:.0f}"
    assert sum(shares.values()) == pytest.approx(1, abs=0.01)


def is_about(kind):
    return lambda event: event["kind"] == kind
