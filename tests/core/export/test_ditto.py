"""The thing, judged by the JSON Schema that Eclipse Ditto publishes, and by its rule for ids."""

import re

from jsonschema import Draft4Validator

from edgetwin.core.export.ditto import thing

# https://eclipse.dev/ditto/basic-namespaces-and-names.html
_NAMESPACE = r"[a-zA-Z]\w*(?:\.[a-zA-Z]\w*)*"
_ID = re.compile(rf"{_NAMESPACE}:[^\x00-\x1f\x7f-\xff/]+", re.ASCII)


def test_thing_is_valid(plan, published):
    judge = Draft4Validator(published("ditto-thing-v2"))
    assert [f"{e.json_path}: {e.message}" for e in judge.iter_errors(thing(plan))] == []
    assert not judge.is_valid({"features": {}})


def test_ids_keep_to_dittos_rule(plan):
    told = thing(plan)
    assert _ID.fullmatch(told["thingId"])
    assert told["policyId"] == told["thingId"]
    assert re.fullmatch(r"[\w.\-]+:[\w.\-]+:[\w.\-]+", told["definition"])
    for name, feature in told["features"].items():
        assert re.fullmatch(r"[^\x00-\x1f\x7f-\xff/]+", name)
        assert all("/" not in key for key in feature["properties"])


def test_every_tag_is_a_property_of_its_owner(plan):
    features = thing(plan)["features"]
    told = {f"{owner}/{key}" for owner, f in features.items() for key in f["properties"]}
    assert told == {tag.name for tag in plan.tags}
