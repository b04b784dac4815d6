"""The unit as systemd itself judges it, without starting anything."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "systemd/edgetwin.service"
MAX_EXPOSURE = 20  # in tenths, as --threshold counts: 2.0 is well below what systemd calls medium

needs_systemd_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is not here (Debian package systemd)",
)


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@needs_systemd_analyze
def test_unit_is_hardened():
    judged = analyze("security", "--offline=true", f"--threshold={MAX_EXPOSURE}", str(UNIT))
    assert judged.returncode == 0, judged.stdout


@needs_systemd_analyze
def test_unit_says_nothing_that_systemd_does_not_understand(tmp_path):
    # Only the program is another: ours is not installed where the unit expects it.
    unit = tmp_path / UNIT.name
    unit.write_text(re.sub("(?m)^ExecStart=.*$", "ExecStart=/bin/true", UNIT.read_text()))
    judged = analyze("verify", str(unit))
    assert judged.returncode == 0, judged.stderr
    assert judged.stderr == ""


@pytest.mark.parametrize(
    "promise",
    [
        "Type=notify",
        "WatchdogSec=10",
        "Restart=always",
        "StateDirectory=edgetwin",
        "User=edgetwin",
        "CapabilityBoundingSet=",
        "NoNewPrivileges=yes",
    ],
)
def test_unit_keeps_its_promises(promise):
    assert promise in UNIT.read_text().splitlines()
