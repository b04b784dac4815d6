"""Plans to describe: the ready example, and one with every name and kind that is awkward."""

import gzip
import json
from pathlib import Path

import pytest

from edgetwin import config
from edgetwin.config.compile.gateway import compile_text

ROOT = Path(__file__).parents[3]

AWKWARD = """
gateway: {name}
hierarchy: {{enterprise: "Acme & Sons", site: Köln 2, cell: "7"}}
control: {{enabled: true}}
classes: {{slow: {{window: 1 min}}, told: {{report: {{within: 1 degC}}}}}}
devices:
  1-2_:
    driver: modbus
    address: 127.0.0.1
    tags:
      "9": {{at: 4x0001, type: int16, unit: degC, class: told}}
      a-b: {{at: 4x0002, type: uint32, range: [0, 4e9]}}
      a_b: {{at: 4x0004, type: text, length: 4}}
      a--b: {{at: 4x0010, type: int64, class: slow}}
      scaled: {{at: 4x0014, type: int16, scale: 0.1, unit: m³/h, write: {{min: 0, max: 5}}}}
      {long}: {{at: 1x0001}}
      furlong: {{at: 4x0020, type: float64, unit: furlong/fortnight}}
assets:
  "1":
    tags: {{t: "1-2_/9"}}
    derived: {{twice: {{is: 2 * t, unit: degC}}}}
upstream:
  one: {{broker: "mqtts://[::1]", user: u, password_file: p, values: true}}
  two: {{broker: mqtt://127.0.0.1, topic: "{{site}}/{{gateway}}"}}
  spb: {{broker: mqtt://127.0.0.1, sparkplug: {{group: p}}}}
"""


def awkward():
    return compile_text(AWKWARD.format(name="x" * 64, long="l" * 64), "c.yaml", environ={})


@pytest.fixture(scope="session", params=["pump-skid", "awkward"])
def plan(request):
    if request.param == "pump-skid":
        return config.read(ROOT / "config" / "pump-skid.yaml")
    return awkward()


@pytest.fixture(scope="session")
def published():
    """A schema of tests/schemas by its name."""

    def load(name):
        raw = (ROOT / "tests" / "schemas" / f"{name}.json.gz").read_bytes()
        return json.loads(gzip.decompress(raw))

    return load
