"""The whole demo as a user runs it: the real daemon, every step seen, nothing left behind."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from edgetwin.core.contract.kinds import MESSAGES
from edgetwin.core.contract.schema import schema

pytestmark = pytest.mark.e2e

SENTENCES = (
    "pump-skid is online",
    "learned from 200 rows what normal is",
    "goes from shadow to auto",
    "pressure in auto:",
    "anomaly after",
    "alarm over after",
    "skid/discharge_pressure is bad: frozen",
    "is back in auto",
    "the gateway is offline (last will)",
    "records wait on disk",
    "outbox empty again after",
    "none missing",
    "ended with exit code 0",
    "points read",
)


@pytest.fixture
def start(tmp_path):
    """Starts the demo with a temporary directory of its own, which marks all of its processes."""
    environment = {**os.environ, "TMPDIR": str(tmp_path), "COLUMNS": "100", "NO_COLOR": "1"}
    environment["PYTHONUNBUFFERED"] = "1"
    started = []

    def start(*options):
        demo = subprocess.Popen(
            [sys.executable, "-m", "edgetwin.demo", *options],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(demo)
        return demo

    yield start
    for demo in started:
        demo.kill()
        demo.communicate()


def left_behind(tmp_path):
    """What still runs, or lies on disk, with that temporary directory."""
    mark = f"TMPDIR={tmp_path}".encode()
    found = [str(path) for path in tmp_path.iterdir()]
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


def until(demo, text):
    """Read the demo's output up to a line with some text."""
    for line in demo.stdout:
        if text in line:
            return
    pytest.fail(f"the demo never said {text!r}")


def outside_the_contract(messages):
    """What is wrong with each message that its schema refuses; and the kinds that there were."""
    judges = {kind: Draft202012Validator(schema(of)) for kind, of in MESSAGES.items()}
    wrong, kinds = [], set()
    for each in map(json.loads, messages.read_text("utf-8").splitlines()):
        kind = each["topic"].rpartition("/")[2]
        kinds.add(kind)
        found = judges[kind].iter_errors(json.loads(each["payload"]))
        wrong += [f"{each['topic']}: {error.json_path} {error.message}" for error in found]
    return wrong, kinds


def test_every_step_of_the_fast_story_is_seen_and_every_message_is_as_declared(
    start, tmp_path, tmp_path_factory
):
    messages = tmp_path_factory.mktemp("messages") / "messages.jsonl"
    demo = start("--fast", "--messages", str(messages))
    told, _ = demo.communicate(timeout=240)
    assert demo.returncode == 0, told
    assert [sentence for sentence in SENTENCES if sentence not in told] == []
    assert max(map(len, told.splitlines())) <= 100
    assert left_behind(tmp_path) == []
    wrong, kinds = outside_the_contract(messages)
    assert wrong == []
    assert {"birth", "status", "summary", "event", "capture"} <= kinds


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("we start plant", signal.SIGINT),
        ("is online", signal.SIGTERM),
        ("of 200 rows", signal.SIGINT),
    ],
)
def test_a_signal_ends_everything_at_any_moment(start, tmp_path, moment, number):
    demo = start("--fast")
    until(demo, moment)
    demo.send_signal(number)
    told, _ = demo.communicate(timeout=90)
    assert demo.returncode == 130, told
    assert "nothing is left running" in told
    assert "Traceback" not in told
    assert left_behind(tmp_path) == []


def test_a_daemon_that_does_not_run_is_told_with_its_last_words(start, tmp_path):
    config = tmp_path / "wrong.yaml"
    config.write_text("gateway: nothing-but-a-name\n")
    demo = start("--config", str(config))
    told, _ = demo.communicate(timeout=90)
    assert demo.returncode == 1
    assert "NOT SEEN: the daemon goes on running (it ended with exit code 78)" in told
    assert "wrong.yaml" in told
    config.unlink()
    assert left_behind(tmp_path) == []
