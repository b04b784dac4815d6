"""Requests in the configuration: what is listed becomes indices, and check says who may ask."""

from edgetwin.config import compile_text
from edgetwin.config.check import report
from edgetwin.core.plan import SECOND, RequestSettings

CONFIG = """\
gateway: g
state: /nowhere
control: {enabled: true}
devices:
  skid:
    driver: modbus
    address: 127.0.0.1
    tags:
      p: {at: 4x0001, type: int16}
      n: {at: 4x0002, type: int16, write: {min: 0, max: 9}}
assets:
  pump: {tags: {n: skid/n}}
loops:
  flow: {law: pid, pv: skid/p, sp: 2, mv: skid/n, gain: 1}
upstream:
  deaf: {broker: mqtt://127.0.0.1}
  cloud:
    broker: mqtt://127.0.0.1
    requests: {keys: [room.pem, "credential:night"], tags: [pump/n], loops: [flow], expiry: 10 s}
  scada:
    broker: mqtt://127.0.0.1
    sparkplug: {group: p}
    requests: {unsigned: true, tags: [skid/n]}
"""


def test_nobody_is_listened_to_unless_it_is_written(tmp_path):
    deaf, cloud, scada = compile_text(CONFIG, "g.yaml", base=tmp_path).upstreams
    assert deaf.requests is None
    assert cloud.requests == RequestSettings(
        tags=frozenset({1}),
        loops=frozenset({0}),
        keys=(tmp_path / "room.pem", cloud.requests.keys[1]),
        expiry=10 * SECOND,
    )
    assert cloud.requests.keys[1].name == "night"
    assert scada.requests == RequestSettings(tags=frozenset({1}), unsigned=True)


def test_check_says_who_may_ask_for_what_and_which_keys_are_of_no_use(tmp_path):
    (tmp_path / "g.yaml").write_text(CONFIG)
    (tmp_path / "room.pem").write_text("no key")
    text, good = report(tmp_path / "g.yaml")
    assert good
    said = " ".join(text.split())
    assert "cloud: who signs with room or night may ask for skid/n, the mode of flow" in said
    assert "scada: whoever may publish at the broker may ask for skid/n" in said
    assert "scada: unsigned" in said
    assert "room.pem cannot be used, and it is needed at the start: it holds no public key" in said
    assert "night does not exist yet" in said
