"""What people ask of a running daemon: long answers come in parts that delay nothing."""

import json

import numpy as np
import pytest

from edgetwin.cli.screens import tags_screen
from edgetwin.config import compile_text
from edgetwin.core.engine import Engine
from edgetwin.core.reading import Instant, ReadingBatch
from edgetwin.runtime.field import Field
from edgetwin.runtime.requests import Requests

TAGS = 1234
CONFIG = {
    "gateway": "g",
    "state": "/nowhere",
    "devices": {
        "plc": {
            "driver": "modbus",
            "address": "127.0.0.1:1",
            "tags": {f"t{i}": {"at": f"holding:{i}", "type": "uint16"} for i in range(TAGS)},
        }
    },
}


def now():
    return Instant(1, 1)


@pytest.fixture
async def requests():
    field = Field(Engine(compile_text(json.dumps(CONFIG), "test.json"), None), [], now)
    return Requests(field, now, dict)


def rows(parts):
    return json.loads(b"".join(parts))["tags"]


async def test_all_tags_are_told_in_parts_of_at_most_a_hundred(requests):
    parts = list(requests.answer({"do": "tags"}))
    assert [row["name"] for row in rows(parts)] == [f"plc/t{i}" for i in range(TAGS)]
    assert max(part.count(b'"name"') for part in parts) == 100
    assert sum(part == b"" for part in parts) == 13, "it breathes while it looks for them, too"


async def test_a_value_that_has_a_name_is_told_with_it():
    text = json.dumps(
        CONFIG
        | {
            "devices": {
                "plc": CONFIG["devices"]["plc"]
                | {"tags": {"mode": {"at": "holding:0", "type": "uint16", "states": {"2": "auto"}}}}
            }
        }
    )
    field = Field(Engine(compile_text(text, "test.json"), None), [], now)
    answered = Requests(field, now, dict)
    for value, name in ((2.0, "auto"), (3.0, None)):
        field.turn(ReadingBatch(slice(0, 1), np.array([value])))
        (row,) = rows(answered.answer({"do": "tags"}))
        assert row.get("state") == name
    row["state"] = "auto"
    assert "3 (auto)" in tags_screen({"tags": [row]})


async def test_a_pattern_finds_its_tags_and_one_that_fits_nothing_says_so(requests):
    assert [row["name"] for row in rows(requests.answer({"do": "tags", "pattern": "plc/t7"}))] == [
        "plc/t7"
    ]
    answer = json.loads(b"".join(requests.answer({"do": "tags", "pattern": "plc/x*"})))
    assert answer == {"error": f"no tag is called 'plc/x*'; 'edgetwin tags' lists all {TAGS}"}
