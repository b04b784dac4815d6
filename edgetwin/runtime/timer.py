"""A timer of the kernel that wakes the event loop at an absolute time.

asyncio rounds every timer up to the next millisecond; a timerfd (timerfd_create(2)) wakes a few
tens of microseconds late. Python has it from 3.13; before, two calls of the C library do. Where the
kernel has none (no Linux), asyncio's own timer takes its place.
"""

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable
from typing import Protocol

_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
_SECOND = 1_000_000_000


class Timer(Protocol):
    """Calls back once at each time it is set to. Setting it anew replaces the time before."""

    def set(self, at: int) -> None:
        """Call back at ``at``, monotonic ns."""

    def close(self) -> None:
        """Never call back again."""


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


class KernelTimer:
    """A timerfd watched by the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.timerfd_create(_CLOCK_MONOTONIC, _FLAGS)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        loop.add_reader(self._fd, self._expired)

    def set(self, at: int) -> None:
        """Call back at ``at``; a time already past calls back at once (zero would disarm)."""
        at = max(at, 1)
        spec = _TimerSpec(_TimeSpec(0, 0), _TimeSpec(at // _SECOND, at % _SECOND))
        self._libc.timerfd_settime(self._fd, _ABSOLUTE, ctypes.byref(spec), None)

    def _expired(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:  # set anew between the wake-up and now
            return
        self._ring()

    def close(self) -> None:
        """Give the descriptor back."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1


class LoopTimer:
    """The event loop's own timer, for where there is no timerfd."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None

    def set(self, at: int) -> None:
        """Call back at ``at``, rounded up to the loop's millisecond."""
        self.close()
        self._handle = self._loop.call_at(at / _SECOND, self._ring)

    def close(self) -> None:
        """Forget the time set last."""
        if self._handle:
            self._handle.cancel()
            self._handle = None


def open_timer(ring: Callable[[], None]) -> Timer:
    """The best timer there is here, calling ``ring`` on the running loop."""
    loop = asyncio.get_running_loop()
    if not sys.platform.startswith("linux"):
        return LoopTimer(loop, ring)
    try:
        return KernelTimer(loop, ring)
    except (OSError, AttributeError):  # AttributeError: a C library without timerfd
        return LoopTimer(loop, ring)
