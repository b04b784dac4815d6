"""A Modbus gateway with two units, in a process of its own, for commands that look at devices."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def gateway() -> Iterator[str]:
    """Its address: see gateway_process.py."""
    script = Path(__file__).with_name("gateway_process.py")
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"127.0.0.1:{process.stdout.readline().strip()}"
        process.kill()
