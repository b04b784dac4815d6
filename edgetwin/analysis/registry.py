"""The models that were learned here, on disk.

    <state>/models/<detector>/0001.onnx 0002.onnx …   the last few versions
                              current.json            which of them counts, and its SHA-256

Both are written whole or not at all (new file, fsync, rename), the model before the manifest, so a
cut of the power leaves the model before or the new one, never half of one.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from edgetwin.analysis.contract import MAX_BYTES
from edgetwin.core.errors import ModelError

KEEP = 3
MANIFEST = "current.json"


@dataclass(frozen=True, slots=True)
class StoredModel:
    """The bytes of a model file, what they hash to, which version they are, and where they lie."""

    onnx: bytes
    sha256: str
    version: int
    path: Path


class Registry:
    """The models of one state directory. Blocking: call it from a thread, or before the start."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "models"

    def store(self, detector: str, onnx: bytes) -> StoredModel:
        """Keep a new version; it is the current one from now on.

        Raises:
            ModelError: the disk does not take it.
        """
        folder = self._place(detector)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            version = max(_versions(folder), default=0) + 1
            sha256 = hashlib.sha256(onnx).hexdigest()
            _write(folder / _file(version), onnx)
            manifest = {"file": _file(version), "sha256": sha256}
            _write(folder / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
            for old in sorted(_versions(folder))[:-KEEP]:
                (folder / _file(old)).unlink(missing_ok=True)
        except OSError as error:
            raise ModelError(
                f"the model of {detector} cannot be stored in {folder}: {error.strerror}; "
                "make room there and learn anew"
            ) from error
        return StoredModel(onnx, sha256, version, folder / _file(version))

    def current(self, detector: str) -> StoredModel | None:
        """The current model; None where none was ever learned.

        Raises:
            ModelError: there was one, and it is missing, altered, or cannot be read.
        """
        folder = self._place(detector)
        cure = f"Restore it, or remove {folder} to learn anew"
        try:
            manifest = json.loads((folder / MANIFEST).read_text())
            name, sha256 = str(manifest["file"]), str(manifest["sha256"])
            version = int(Path(name).stem)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder / MANIFEST} cannot be read ({error}). {cure}") from error
        onnx = read_model(folder / _file(version))
        if hashlib.sha256(onnx).hexdigest() != sha256:
            raise ModelError(
                f"{folder / _file(version)} was altered: it is not what was learned. {cure}"
            )
        return StoredModel(onnx, sha256, version, folder / _file(version))

    def _place(self, detector: str) -> Path:
        return self._folder / quote(detector, safe=" ").replace(".", "%2E")


def read_model(path: Path) -> bytes:
    """The bytes of a model file, a learned one or one that the configuration names.

    Raises:
        ModelError: missing, unreadable, or far larger than any model.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ModelError(f"{path} has {size} bytes; a model has at most {MAX_BYTES}")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError(f"the model file {path} is missing; restore it, or learn anew") from error
    except OSError as error:
        raise ModelError(f"the model file {path} cannot be read: {error.strerror}") from error


def _file(version: int) -> str:
    return f"{version:04d}.onnx"


def _versions(folder: Path) -> list[int]:
    return [int(path.stem) for path in folder.glob("*.onnx") if path.stem.isdecimal()]


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, also when the power is cut."""
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
