"""Recordings hold every frame, and say so when they cannot."""

import json

import numpy as np
import pytest

from edgetwin.core.codec import VERSION, decode, encode
from edgetwin.core.errors import RecordingError
from edgetwin.core.frame import Frame
from edgetwin.core.reading import Instant, ReadingBatch
from edgetwin.storage.recording import Header, RecordingReader, RecordingWriter


def frames(n, first=1):
    rng = np.random.default_rng(first)
    return [
        Frame(first + i, Instant(i, i), ReadingBatch(slice(0, 50), rng.normal(size=50)))
        for i in range(n)
    ]


def header(started=1):
    return Header(VERSION, "0.1", "g", started, "gateway: g\n", "g.yaml")


def test_all_frames_come_back_in_order(tmp_path):
    writer = RecordingWriter(tmp_path, header(), 1 << 20)
    writer.write(frames(10))
    writer.write(frames(5, first=11))
    writer.close()
    reader = RecordingReader(writer.path)
    assert reader.header == header()
    assert [decode(f).number for f in reader.frames()] == list(range(1, 16))
    assert list(reader.frames())[3] == encode(frames(10)[3])
    assert not reader.truncated


def test_a_file_cut_off_anywhere_gives_what_is_whole(tmp_path):
    writer = RecordingWriter(tmp_path, header(), 1 << 20)
    for k in range(4):
        writer.write(frames(2, first=1 + 2 * k))
    writer.close()
    whole = writer.path.read_bytes()
    start = whole.index(b"\n") + 1
    for size in range(start + 1, len(whole), 97):
        writer.path.write_bytes(whole[:size])
        reader = RecordingReader(writer.path)
        numbers = [decode(f).number for f in reader.frames()]
        assert numbers == list(range(1, len(numbers) + 1))
        assert reader.truncated


def test_a_changed_byte_is_told_with_its_place(tmp_path):
    writer = RecordingWriter(tmp_path, header(), 1 << 20)
    writer.write(frames(3))
    writer.close()
    data = bytearray(writer.path.read_bytes())
    data[-5] ^= 1
    writer.path.write_bytes(data)
    with pytest.raises(RecordingError, match="damaged at byte"):
        list(RecordingReader(writer.path).frames())


def test_older_runs_make_room_and_a_full_quota_ends_the_run(tmp_path):
    for started in (1, 2, 3):
        writer = RecordingWriter(tmp_path, header(started), 60_000)
        for _ in range(3):
            writer.write(frames(20))
        writer.close()
    assert not (tmp_path / "1.frames").exists()
    writer = RecordingWriter(tmp_path, header(4), 60_000)
    for _ in range(10):
        writer.write(frames(20))
    assert writer.full
    assert sorted(p.name for p in tmp_path.iterdir()) == ["4.frames"]
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= 60_000
    assert len(list(RecordingReader(writer.path).frames())) > 20


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"hello\n", "no recording"),
        (b"", "no recording"),
        (json.dumps({"a": 1}).encode() + b"\n", "no recording"),
        (
            json.dumps(
                {
                    "version": 99,
                    "edgetwin": "7.0",
                    "gateway": "g",
                    "started": 1,
                    "config": "",
                    "config_file": "",
                }
            ).encode()
            + b"\n",
            "version 99",
        ),
    ],
)
def test_what_is_no_recording_is_refused_in_words(tmp_path, content, words):
    path = tmp_path / "x.frames"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=words):
        RecordingReader(path)
