"""What is declared is well-formed, strict, and committed as it is."""

import copy
import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from edgetwin.cli.contract import files
from edgetwin.core.contract.happened import MEANINGS
from edgetwin.core.contract.kinds import MESSAGES
from edgetwin.core.contract.schema import schema
from edgetwin.core.event import EventKind

COMMITTED = Path(__file__).parents[3] / "docs" / "contract"
KINDS = sorted(MESSAGES)
REFRESH = "run: python -m edgetwin.cli.contract docs/contract"


def test_the_committed_contract_is_the_declared_one():
    there = {
        str(path.relative_to(COMMITTED)): path.read_text("utf-8")
        for path in COMMITTED.rglob("*")
        if path.is_file()
    }
    assert there.keys() == files().keys(), REFRESH
    assert there == files(), REFRESH


def test_every_kind_of_event_is_told_in_a_sentence():
    assert set(MEANINGS) == set(EventKind)


@pytest.mark.parametrize("kind", KINDS)
def test_schema_is_one_and_its_example_is_right(kind, validators):
    Draft202012Validator.check_schema(schema(MESSAGES[kind]))
    assert not list(validators[kind].iter_errors(MESSAGES[kind].example))


def objects(shape):
    """Every object in a schema that has members of its own."""
    if isinstance(shape, dict):
        if "properties" in shape:
            yield shape
        for inner in shape.values():
            yield from objects(inner)
    elif isinstance(shape, list):
        for inner in shape:
            yield from objects(inner)


@pytest.mark.parametrize("kind", KINDS)
def test_every_object_is_strict_and_every_field_is_explained(kind):
    for each in objects(schema(MESSAGES[kind])):
        assert each["additionalProperties"] is False
        for name, field in each["properties"].items():
            assert len(field["description"].split()) > 0, f"{kind}: {name}"
            assert field["description"].endswith((".", "…")), f"{kind}: {name}"


def mutated(message):
    """Messages that are each wrong in one way: (what was done, message)."""
    for name in message:
        less = copy.deepcopy(message)
        del less[name]
        yield f"without {name}", less
        yield f"{name} is an object of nobody", {**message, name: {"what?": []}}
    yield "with more than is declared", {**message, "more": 1}
    yield "another version", {**message, "v": 2}


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutated_message_is_refused(kind, validators):
    optional = {field.name for field in MESSAGES[kind].fields if field.optional}
    for deed, message in mutated(dict(MESSAGES[kind].example)):
        if deed.removeprefix("without ") in optional:
            continue
        assert not validators[kind].is_valid(message), deed


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_is_taken_for_another(kind, validators):
    example = json.loads(json.dumps(MESSAGES[kind].example))
    assert [other for other in KINDS if validators[other].is_valid(example)] == [kind]
