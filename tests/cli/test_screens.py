"""The status screen tells what does not keep up, and nothing where all does."""

import copy

import pytest

from edgetwin.cli.screens import status_screen

WELL = {
    "gateway": "g",
    "uptime_s": 100.0,
    "control": True,
    "devices": [
        {
            "name": "plc",
            "driver": "modbus",
            "up": True,
            "reason": "",
            "tags": 1001,
            "good": 1001,
            "losses": 0,
            "overruns": 0,
            "scans": [
                {"scan": "10 ms", "tags": 1, "due": 9000, "skipped": 0, "overrun": None},
                {"scan": "50 ms", "tags": 1000, "due": 2000, "skipped": 0, "overrun": None},
            ],
        }
    ],
    "tags": {"good": 1001, "uncertain": 0, "stale": 0, "bad": 0, "oldest_age_ms": 40},
    "detectors": [],
    "loops": [],
    "alarms": [],
    "office": {},
    "sense_to_write_us": {},
    "ticks": {
        "woken": 9000,
        "late": 3,
        "late_after_ms": 5.0,
        "lateness_us": {"p50": 80.0, "p99": 420.0, "p99.9": 2100.0},
    },
    "shed_steps": 0,
    "rss_mb": 60.0,
    "cpu_s": 10.0,
    "recording": "off",
}


@pytest.fixture
def status():
    return copy.deepcopy(WELL)


def test_a_gateway_that_keeps_up_tells_how_late_its_ticks_come(status):
    said = " ".join(status_screen(status).split())
    assert "ticks 0.42 ms late (p99), 3 of 9000 over 5 ms" in said
    assert "OVERLOADED" not in said
    assert "skipped" not in said


def test_a_class_that_does_not_keep_up_is_named_with_its_count(status):
    status["devices"][0]["overruns"] = 90
    status["devices"][0]["scans"][1]["overrun"] = {"due": 120, "skipped": 90}
    said = " ".join(status_screen(status).split())
    assert "; the scan every 50 ms does not keep up: 90 of 120 skipped" in said
    assert "every 10 ms" not in said


def test_scans_skipped_long_ago_are_only_counted(status):
    status["devices"][0]["overruns"] = 1
    assert "1 scan skipped so far" in status_screen(status)


def test_shedding_is_told_in_capitals(status):
    status["shed_steps"] = 2
    said = " ".join(status_screen(status).split())
    assert "OVERLOADED: scans are thinned out, 2 steps" in said


def test_before_the_first_scan_there_is_nothing_to_be_late(status):
    status["ticks"]["lateness_us"] = {}
    assert "no write yet; no scan yet" in status_screen(status)
