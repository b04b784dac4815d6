"""One daemon at a time owns a state directory."""

import os
import subprocess
import sys

import pytest

from edgetwin.core.errors import AlreadyRunning, StorageError
from edgetwin.storage.state import StateDirectory


def test_a_second_process_is_told_who_holds_it(tmp_path):
    first = StateDirectory(tmp_path / "s")
    first.open()
    code = (
        "import sys; from pathlib import Path; from edgetwin.storage.state import StateDirectory\n"
        f"StateDirectory(Path({str(tmp_path / 's')!r})).open()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False
    )
    first.close()
    assert f"another edgetwin (pid {os.getpid()})" in done.stderr
    assert done.returncode == 1


def test_the_lock_is_free_again_after_close(tmp_path):
    for _ in range(3):
        state = StateDirectory(tmp_path)
        state.open()
        state.close()


def test_holding_it_twice_is_refused(tmp_path):
    first, second = StateDirectory(tmp_path), StateDirectory(tmp_path)
    first.open()
    with pytest.raises(AlreadyRunning):
        second.open()
    first.close()


def test_a_path_that_cannot_be_made_says_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Name another with 'state:'"):
        StateDirectory(tmp_path / "file" / "s").open()
