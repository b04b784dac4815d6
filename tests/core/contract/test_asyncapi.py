"""The AsyncAPI document, judged by the schema that AsyncAPI publishes, and read back."""

import gzip
import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator

from edgetwin.core.contract.asyncapi import document
from edgetwin.core.contract.kinds import MESSAGES
from edgetwin.core.contract.yamltext import yaml_text

ROOT = Path(__file__).parents[3]
PUBLISHED = ROOT / "tests" / "schemas" / "asyncapi-3.0.0.json.gz"


@pytest.fixture(scope="module")
def published():
    return Draft7Validator(json.loads(gzip.decompress(PUBLISHED.read_bytes())))


DOCUMENTS = {
    "of every gateway": document(),
    "of one": document("acme/berlin/pump-7", "broker:1883", tls=False),
}


@pytest.mark.parametrize("of", DOCUMENTS)
def test_document_is_valid_asyncapi_3(of, published):
    found = [f"{list(e.absolute_path)}: {e.message}" for e in published.iter_errors(DOCUMENTS[of])]
    assert found == []


def test_the_published_schema_refuses_what_is_wrong(published):
    wrong = document()
    del wrong["operations"]["sendBirth"]["action"]
    assert not published.is_valid(wrong)
    assert not published.is_valid({**document(), "asyncapi": "2.6.0"})


@pytest.mark.parametrize("of", DOCUMENTS)
def test_yaml_says_the_same(of):
    assert yaml.safe_load(yaml_text(DOCUMENTS[of])) == json.loads(json.dumps(DOCUMENTS[of]))


def references(part):
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for inner in part.values():
            yield from references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from references(inner)


@pytest.mark.parametrize("of", DOCUMENTS)
def test_every_reference_leads_somewhere(of):
    for reference in set(references(DOCUMENTS[of])):
        file, _, path = reference.partition("#")
        if file:
            assert (ROOT / "docs" / "contract" / file).is_file(), reference
            continue
        target = DOCUMENTS[of]
        for step in path.strip("/").split("/"):
            target = target[step]


def test_each_message_has_a_channel_and_an_operation():
    told = document()
    assert set(told["channels"]) == set(MESSAGES)
    actions = {op["channel"]["$ref"].rpartition("/")[2] for op in told["operations"].values()}
    assert actions == set(MESSAGES)
