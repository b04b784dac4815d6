"""A number that goes on after a restart, and over its end."""

import pytest

from edgetwin.core.errors import StorageError
from edgetwin.storage.counter import Counter


def test_counting_begins_at_0_and_goes_on_after_a_restart(tmp_path):
    path = tmp_path / "line.bdseq"
    first = Counter(path, 256)
    assert [first.next() for _ in range(3)] == [0, 1, 2]
    assert Counter(path, 256).next() == 3


def test_after_the_last_number_comes_0(tmp_path):
    (tmp_path / "n").write_text("254\n")
    counter = Counter(tmp_path / "n", 256)
    assert [counter.next() for _ in range(3)] == [255, 0, 1]


@pytest.mark.parametrize("content", [b"", b"x", b"256", b"-1", b"\xff\x00", b"9" * 5000])
def test_a_damaged_file_begins_anew(tmp_path, content):
    (tmp_path / "n").write_bytes(content)
    assert Counter(tmp_path / "n", 256).next() == 0


def test_a_disk_that_refuses_does_not_stop_the_counting(tmp_path):
    counter = Counter(tmp_path / "missing" / "n", 256)
    with pytest.raises(StorageError):
        counter.next()
    with pytest.raises(StorageError):
        counter.next()
    assert counter.last == 1
