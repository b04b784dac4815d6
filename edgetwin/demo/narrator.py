"""The voice of the demo: one fact a line, with its time, in colour where that helps."""

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable
from typing import TextIO

from edgetwin.runtime.clock import monotonic_ns

WIDEST, NARROWEST = 100, 60
INDENT = " " * 11

_BOLD, _DIM, _GREEN, _YELLOW, _RED = "1", "2", "32", "33", "31"


class NotSeen(Exception):
    """Something the story promised was not to be seen. The message is the promise."""


class Narrator:
    """Writes to a terminal or a file. Times count from its making."""

    def __init__(self, out: TextIO | None = None) -> None:
        """``out`` is stdout unless said otherwise. NO_COLOR and pipes are respected."""
        self._out = out or sys.stdout
        self._colour = self._out.isatty() and not os.environ.get("NO_COLOR")
        self._width = max(NARROWEST, min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns))
        self._began = monotonic_ns()

    @property
    def seconds(self) -> float:
        """Time since the beginning."""
        return (monotonic_ns() - self._began) / 1e9

    def title(self, text: str) -> None:
        """What this is, before anything happens."""
        self._write(self._painted(text, _BOLD))

    def plain(self, text: str) -> None:
        """Something that needs no time."""
        self._write(text)

    def chapter(self, text: str) -> None:
        """What comes next."""
        self._write("\n" + self._painted(text, _BOLD))

    def fact(self, text: str) -> None:
        """Something that was observed."""
        self._line(text)

    def good(self, text: str) -> None:
        """Something that was promised, and observed."""
        self._line(text, _GREEN)

    def alarm(self, text: str) -> None:
        """Something that the daemon reports as wrong with the plant."""
        self._line(text, _YELLOW)

    def deed(self, text: str) -> None:
        """Something that we do now."""
        self._line(text, _DIM)

    def failed(self, text: str, details: Iterable[str] = ()) -> None:
        """The end of a story that was not as promised."""
        self._line(f"NOT SEEN: {text}", _RED)
        for line in details:
            self._write(INDENT + line)

    def table(self, rows: Iterable[tuple[str, str]]) -> None:
        """Names and values, one a line."""
        rows = list(rows)
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            self._write(f"{INDENT}{name:<{width}}  {value}")

    def _line(self, text: str, colour: str = "") -> None:
        stamp = f"[{self.seconds:5.1f} s] "
        first, *rest = textwrap.wrap(text, self._width - len(stamp)) or [""]
        for start, part in ((stamp, first), *((INDENT, part) for part in rest)):
            self._write(start + self._painted(part, colour))

    def _painted(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colour and colour else text

    def _write(self, text: str) -> None:
        print(text, file=self._out, flush=True)
