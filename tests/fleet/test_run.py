"""The run of docs/fleet.md, small: real offices, a real nats-server, a group of members."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVERS = [Path(folder) / "nats-server" for folder in ("/usr/sbin", "/usr/bin", "/usr/local/bin")]
pytestmark = [pytest.mark.nats, pytest.mark.e2e]


def test_what_gateways_number_is_what_the_group_keeps(tmp_path):
    if not any(path.exists() for path in SERVERS):
        pytest.skip("nats-server is not installed (Debian: apt install nats-server)")
    words = ["--gateways", "4", "--seconds", "5", "--nodes", "1", "--victim", "none"]
    run = subprocess.run(
        [sys.executable, ROOT / "scripts/fleet/run", *words, "--folder", tmp_path],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "missing: 0 " in run.stdout
    assert list(tmp_path.iterdir()) == []
