"""The built-in detector, end to end through its ONNX file, on files of the SKAB form."""

import csv
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("EDGETWIN_SHARED", ROOT.parent / "shared"))
SENSORS = ("Pressure", "Flow", "Current")
FAULT = range(520, 640)


def rows_of_a_rig(count=700):
    """A rig of our own: irregular seconds, one gap, and a flow that drops between two times."""
    rng = np.random.default_rng(11)
    load = np.cumsum(rng.normal(size=count)) * 0.02
    values = np.stack([4 + load, 32 + 2 * load, 1.3 + 0.2 * load], axis=1)
    values += rng.normal(size=values.shape) * (0.1, 0.3, 0.02)
    values[FAULT.start : FAULT.stop, 1] -= 4
    steps = rng.choice([1, 2], count, p=[0.95, 0.05])
    steps[460] = 40
    start = datetime(2026, 3, 9, 10, 14, 33, tzinfo=UTC)
    stamps = [start + timedelta(seconds=int(s)) for s in np.cumsum(steps)]
    return [
        [f"{stamp:%Y-%m-%d %H:%M:%S}", *map(repr, map(float, row)), float(i in FAULT), 0.0]
        for i, (stamp, row) in enumerate(zip(stamps, values, strict=True))
    ]


def write_rig(folder, rows):
    path = folder / "valve9/0.csv"
    path.parent.mkdir(parents=True)
    with path.open("w", newline="") as file:
        table = csv.writer(file, delimiter=";")
        table.writerows([["datetime", *SENSORS, "anomaly", "changepoint"], *rows])


def run_yardstick(out, *folders):
    data = [part for folder in folders for part in ("--data", str(folder))]
    command = [sys.executable, ROOT / "scripts/yardstick/skab", *data, "--pred", out]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def read_answers(out):
    with (out / "valve9/0.csv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What was said of the whole file, and what was printed."""
    folder = tmp_path_factory.mktemp("whole")
    write_rig(folder / "data", rows_of_a_rig())
    printed = run_yardstick(folder / "pred", folder / "data")
    return read_answers(folder / "pred"), printed


def test_fault_is_flagged_and_its_sensor_named_first(whole):
    answers, printed = whole
    flags = [int(answer["flag"]) for answer in answers]
    assert sum(flags[: FAULT.start]) == 0
    assert sum(flags[FAULT.start + 15 : FAULT.stop]) == len(FAULT) - 15
    middle = answers[FAULT.start + 60]
    assert max(SENSORS, key=lambda sensor: float(middle[sensor])) == "Flow"
    assert "valve9: 1 files; named first in the event: Flow 1" in printed


def test_every_row_of_the_file_gets_a_row_and_training_rows_no_score(whole):
    answers, _ = whole
    assert len(answers) == 700
    assert all(answer["score"] == "" for answer in answers[:399])
    assert all(answer["flag"] == "0" for answer in answers[:400])


def test_after_a_long_gap_there_is_no_score_until_the_window_is_full(whole):
    answers, _ = whole
    assert answers[459]["score"]
    assert [a["score"] for a in answers[460:480]] == [""] * 20
    assert answers[500]["score"]


@pytest.mark.parametrize("length", [401, 470, 530, 641])
def test_what_is_said_of_a_row_does_not_depend_on_later_rows(whole, tmp_path, length):
    answers, _ = whole
    write_rig(tmp_path / "data", rows_of_a_rig()[:length])
    run_yardstick(tmp_path / "pred", tmp_path / "data")
    assert read_answers(tmp_path / "pred") == answers[:length]


def test_labels_change_nothing_that_is_written(whole, tmp_path):
    answers, _ = whole
    write_rig(tmp_path / "data", [[*row[:-2], 1.0, 1.0] for row in rows_of_a_rig()])
    run_yardstick(tmp_path / "pred", tmp_path / "data")
    assert read_answers(tmp_path / "pred") == answers


@pytest.mark.shared
def test_real_rig_is_judged_well_by_an_outside_yardstick(tmp_path, capsys):
    data, judge = SHARED / "data/skab", SHARED / "yardstick/skab.py"
    if not (data.is_dir() and judge.is_file()):
        pytest.skip(
            f"{data} and {judge} are not here: the real rig's data may not be shipped. "
            "Set EDGETWIN_SHARED to the folder that holds both"
        )
    told = run_yardstick(tmp_path / "pred", data)
    command = [sys.executable, judge, "--data", data, "--pred", tmp_path / "pred"]
    command += ["--json", tmp_path / "figures.json"]
    table = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    with capsys.disabled():
        sys.stdout.write(f"\n{told}{table}")
    figures = json.loads((tmp_path / "figures.json").read_text())["groups"]["all"]
    assert figures["F1"] >= 0.85
    assert figures["FAR"] <= 4
    assert "valve1: 16 files; named first in the event: Volume Flow RateRMS" in told
