"""The Thing Description, judged by the W3C's own JSON Schema for TD 1.1."""

from dataclasses import replace

import pytest
from jsonschema import Draft7Validator

from edgetwin.core import payload, received
from edgetwin.core.errors import EdgetwinError
from edgetwin.core.export.td import thing_description
from edgetwin.core.plan import RequestSettings


@pytest.fixture(scope="module")
def judge(published):
    return Draft7Validator(published("td-1.1"))


def test_thing_description_is_valid(plan, judge):
    assert [f"{e.json_path}: {e.message}" for e in judge.iter_errors(thing_description(plan))] == []


def test_the_published_schema_refuses_what_is_wrong(plan, judge):
    told = thing_description(plan)
    assert not judge.is_valid({**told, "security": []})
    assert not judge.is_valid({**told, "@context": ["https://example.org"]})
    name = next(iter(told["properties"]))
    assert not judge.is_valid({**told, "properties": {name: {"forms": []}}})


def test_a_form_leads_to_the_place_of_the_tag_in_the_summary(plan):
    born = received.read(payload.birth(plan.name, 1, plan.tags).payload)
    told = thing_description(plan)["properties"]
    assert set(told) == {tag.name for tag in plan.tags}
    for name, each in told.items():
        for form in each["forms"]:
            if form["mqv:filter"].endswith("/summary"):
                of = form.get("edgetwin:set", "")
                own = [t["name"] for t in born["tags"] if t.get("set", "") == of]
                assert own[form["edgetwin:place"]] == name
            elif form["mqv:filter"].endswith("/report"):
                assert born["tags"][form["edgetwin:place"]]["name"] == name
            else:
                assert form["mqv:filter"].endswith("/values")


def test_security_of_each_form_is_defined(plan):
    told = thing_description(plan)
    affordances = [*told["properties"].values(), *told["events"].values()]
    named = {
        scheme for each in affordances for form in each["forms"] for scheme in form["security"]
    }
    assert named == set(told["securityDefinitions"])


def test_request_is_an_action_where_somebody_listens(plan, judge):
    asked = RequestSettings(tags=frozenset({5}))
    told = thing_description(replace(plan, upstreams=(replace(plan.upstreams[0], requests=asked),)))
    assert [f"{e.json_path}: {e.message}" for e in judge.iter_errors(told)] == []
    [form] = told["actions"]["request"]["forms"]
    assert form["mqv:topic"].endswith("/request")
    asked_for = [name for name, each in told["properties"].items() if "edgetwin:writeBy" in each]
    assert asked_for == [plan.tags[5].name]
    assert "actions" not in thing_description(plan)


def test_without_our_own_json_upstream_it_says_so(plan):
    with pytest.raises(EdgetwinError, match="no upstream sends"):
        thing_description(replace(plan, upstreams=()))
