"""Each folder of tests/cases is a wrong configuration and what is said about it, all of it at once.

To add one: write config.yaml, read what ``edgetwin check`` says, and keep it as expected.txt if a
technician could act on it.
"""

import re
from pathlib import Path

import pytest

from edgetwin.config.check import report

CASES = Path(__file__).parents[1] / "cases"
NAMES = sorted(path.parent.name for path in CASES.glob("*/expected.txt"))
PLACED = re.compile(r"config\.yaml:[1-9]\d*:[1-9]\d*: .+")


@pytest.mark.parametrize("name", NAMES)
def test_wrong_configuration_is_told_as_expected(name, monkeypatch):
    monkeypatch.chdir(CASES / name)
    text, good = report(Path("config.yaml"))
    assert not good
    assert text + "\n" == Path("expected.txt").read_text("utf-8")
    *problems, summary = text.splitlines()
    assert all(PLACED.fullmatch(line) for line in problems)
    count = len(problems)
    assert summary == f"{count} error{'s' * (count > 1)}; nothing was started."


def test_missing_file_is_a_placed_error(tmp_path):
    text, good = report(tmp_path / "none.yaml")
    assert not good
    assert text.startswith(f"{tmp_path / 'none.yaml'}:1:1: cannot be read: No such file")


def test_folder_in_place_of_a_file_is_a_placed_error(tmp_path):
    text, good = report(tmp_path)
    assert not good
    assert text.startswith(f"{tmp_path}:1:1: cannot be read")


def test_bytes_that_are_no_utf8_are_told_by_place(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_bytes(b"gateway: g\nunit: \xb0C\n")
    text, _ = report(file)
    assert text.startswith(f"{file}:2:7: this is not UTF-8")


def test_byte_order_mark_of_a_windows_editor_does_not_matter(tmp_path):
    file = tmp_path / "c.yaml"
    minimal = Path(__file__).parents[2] / "config" / "minimal.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + minimal.read_bytes().replace(b"\n", b"\r\n"))
    assert report(file)[1]
