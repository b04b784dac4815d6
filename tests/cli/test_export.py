"""``edgetwin export``: one JSON document on stdout, or one sentence about why not."""

import json
from pathlib import Path

import pytest

from edgetwin.cli import main

CONFIG = str(Path(__file__).parents[2] / "config" / "pump-skid.yaml")
SIGNS = {
    "td": lambda told: told["@context"][0] == "https://www.w3.org/2022/wot/td/v1.1",
    "dtdl": lambda told: told[0]["@id"] == "dtmi:edgetwin:pump_skid;1",
    "aas": lambda told: told["submodels"][0]["idShort"] == "OperationalData",
    "ditto": lambda told: told["thingId"] == "edgetwin:pump-skid",
    "asyncapi": lambda told: told["channels"]["event"]["address"] == "edgetwin/pump-skid/event",
}


@pytest.mark.parametrize("format_", SIGNS)
def test_each_format_is_one_json_document(format_, capsys):
    assert main(["export", "--format", format_, CONFIG]) == 0
    told, warned = capsys.readouterr()
    assert SIGNS[format_](json.loads(told))
    assert warned == ""


def test_asyncapi_tells_of_what_this_gateway_sends_and_hears(capsys):
    assert main(["export", "--format", "asyncapi", CONFIG]) == 0
    usual = set(json.loads(capsys.readouterr().out)["channels"])
    assert usual == {"birth", "status", "summary", "event", "capture", "gap", "closed"}
    more = ["upstream.cloud.values=true", "upstream.cloud.compression=gzip"]
    options = [word for option in more for word in ("--set", option)]
    assert main(["export", "--format", "asyncapi", *options, CONFIG]) == 0
    assert set(json.loads(capsys.readouterr().out)["channels"]) - usual == {"values", "accept"}


def test_thing_description_is_what_is_written_unless_asked_otherwise(capsys):
    assert main(["export", CONFIG]) == 0
    assert SIGNS["td"](json.loads(capsys.readouterr().out))


@pytest.mark.parametrize("format_", ["td", "asyncapi"])
def test_without_our_own_json_it_says_what_to_add(format_, capsys):
    sparkplug = "upstream.cloud.sparkplug.group=plant-1"
    assert main(["export", "--format", format_, "--set", sparkplug, CONFIG]) == 1
    told, warned = capsys.readouterr()
    assert told == ""
    assert "no upstream sends edgetwin's own JSON" in warned


def test_unknown_format_is_told_with_those_there_are(capsys):
    with pytest.raises(SystemExit):
        main(["export", "--format", "xml", CONFIG])
    assert "'ditto'" in capsys.readouterr().err
