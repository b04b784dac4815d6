"""Recordings: the stream of frames of one run, in a file of its own.

    file  = one line of JSON (the header), then chunks
    chunk = u32 length, u32 CRC-32, zlib of: per frame u32 length, bytes (core.codec)

One chunk is one handful of frames as they came from the queue. A process killed in the middle
leaves at most one chunk cut off; the reader says so and gives what is whole. When the quota is
full, the recordings of older runs go first; a run that fills it alone stops and says so: the
beginning of a run is what makes it replayable.
"""

import json
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from edgetwin.core.codec import VERSION, encode
from edgetwin.core.errors import RecordingError
from edgetwin.core.frame import Frame

SUFFIX = ".frames"
_CHUNK = struct.Struct("<II")
_LENGTH = struct.Struct("<I")
_MAX_CHUNK = 64 << 20
_FAST = 1


@dataclass(frozen=True, slots=True)
class Header:
    """What a recording needs to be understood alone. ``config`` is what the plan was made from."""

    version: int
    edgetwin: str
    gateway: str
    started: int
    config: str
    config_file: str


class RecordingWriter:
    """Appends frames to a new file. Blocking: call it outside the event loop."""

    def __init__(self, folder: Path, header: Header, quota: int) -> None:
        """A new file in ``folder``; all recordings there together stay below ``quota`` bytes."""
        self._folder, self._quota = folder, quota
        self._header = header
        self._file: BinaryIO | None = None
        self._size = 0
        self.path = folder / f"{header.started}{SUFFIX}"
        self.full = False

    def write(self, frames: Sequence[Frame]) -> None:
        """Append frames, or nothing once the quota is full."""
        if self.full or not frames:
            return
        if self._file is None:
            self._file = self._create()
        encoded = (encode(frame) for frame in frames)
        body = zlib.compress(b"".join(_LENGTH.pack(len(e)) + e for e in encoded), _FAST)
        if not self._make_room(_CHUNK.size + len(body)):
            self.full = True
            self.close()
            return
        self._file.write(_CHUNK.pack(len(body), zlib.crc32(body)) + body)
        self._file.flush()
        self._size += _CHUNK.size + len(body)

    def close(self) -> None:
        """End the file."""
        if self._file is not None:
            self._file.close()

    def _create(self) -> BinaryIO:
        self._folder.mkdir(parents=True, exist_ok=True)
        line = json.dumps(asdict(self._header)).encode() + b"\n"
        file = self.path.open("xb")
        file.write(line)
        self._size = len(line)
        return file

    def _make_room(self, more: int) -> bool:
        others = sorted(p for p in self._folder.glob(f"*{SUFFIX}") if p != self.path)
        sizes = {path: path.stat().st_size for path in others}
        while self._size + more + sum(sizes.values()) > self._quota:
            if not sizes:
                return False
            oldest = min(sizes)
            oldest.unlink()
            del sizes[oldest]
        return True


class RecordingReader:
    """Reads a recording, frame by frame."""

    def __init__(self, path: Path) -> None:
        """Open a recording and read its header.

        Raises:
            RecordingError: it cannot be read, is no recording, or is of another version.
        """
        self.path = path
        self.truncated = False
        try:
            with path.open("rb") as file:
                line = file.readline(_MAX_CHUNK)
            self.header = Header(**json.loads(line))
        except OSError as error:
            raise RecordingError(
                f"{path}: {error.strerror}. Recordings lie in STATE/recordings"
            ) from error
        except (ValueError, TypeError) as error:
            raise RecordingError(f"{path}: this is no recording of edgetwin") from error
        if self.header.version != VERSION:
            raise RecordingError(
                f"{path} has version {self.header.version}, this edgetwin reads {VERSION}. "
                f"Replay it with edgetwin {self.header.edgetwin}"
            )
        self._start = len(line)

    def frames(self) -> Iterator[bytes]:
        """The encoded frames. After the last, ``truncated`` says whether the file was cut off."""
        with self.path.open("rb") as file:
            file.seek(self._start)
            for chunk in self._chunks(file):
                yield from _split(chunk)

    def _chunks(self, file: BinaryIO) -> Iterable[bytes]:
        while head := file.read(_CHUNK.size):
            if len(head) < _CHUNK.size:
                self.truncated = True
                return
            length, crc = _CHUNK.unpack(head)
            body = file.read(min(length, _MAX_CHUNK))
            if len(body) < length:
                self.truncated = True
                return
            if zlib.crc32(body) != crc:
                raise RecordingError(f"{self.path}: damaged at byte {file.tell() - length}")
            yield zlib.decompress(body)


def _split(chunk: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(chunk):
        (length,) = _LENGTH.unpack_from(chunk, at)
        yield chunk[at + _LENGTH.size : at + _LENGTH.size + length]
        at += _LENGTH.size + length
