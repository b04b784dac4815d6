"""A serial port as an asyncio transport: termios and the loop's readiness, nothing between.

The port is ours alone while it is open: two programs on one line read each other's answers. So it
is locked, and a second opener is told by name of the lock. Input is raw; parity is made and, by the
kernel's leave, not checked: every frame has a CRC, and a byte with a wrong parity fails it.
"""

import asyncio
import fcntl
import os
import termios
from collections.abc import Callable
from typing import TypeVar

from edgetwin.core.plan import ModbusSettings, SerialForm
from edgetwin.devices.modbus import words

P = TypeVar("P", bound=asyncio.Protocol)

_READ = 4096
_MOST_UNSENT = 4096  # a line with one request open has never more than 256 bytes to send


class SerialTransport(asyncio.Transport):
    """An open serial port; ``protocol`` gets what comes in, and why it ended."""

    def __init__(self, fd: int, path: str, protocol: asyncio.Protocol) -> None:
        """Takes the descriptor over."""
        super().__init__({"path": path})
        self._fd = fd
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._unsent = b""
        self._loop.add_reader(fd, self._read)
        protocol.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, now as much as the driver takes and the rest when it takes more."""
        if self._fd < 0:
            return
        if self._unsent:
            self._unsent += bytes(data)
        else:
            self._unsent = bytes(data)
            self._send()
        if len(self._unsent) > _MOST_UNSENT:
            self._fail("it takes no more bytes")

    def _send(self) -> None:
        try:
            sent = os.write(self._fd, self._unsent)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self._fail(error.strerror or str(error))
            return
        self._unsent = self._unsent[sent:]
        if self._unsent:
            self._loop.add_writer(self._fd, self._send)
        else:
            self._loop.remove_writer(self._fd)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._fail(error.strerror or str(error))
            return
        if data:
            self._protocol.data_received(data)
        else:
            self._fail("it hung up")

    def is_closing(self) -> bool:
        """Whether it is closed."""
        return self._fd < 0

    def close(self) -> None:
        """Close at once: what is not sent yet was for nobody."""
        self._end(None)

    def abort(self) -> None:
        """Close at once."""
        self._end(None)

    def _fail(self, reason: str) -> None:
        self._end(words.Told(words.port_gone(reason)))

    def _end(self, error: OSError | None) -> None:
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        self._loop.remove_reader(fd)
        self._loop.remove_writer(fd)
        os.close(fd)
        self._loop.call_soon(self._protocol.connection_lost, error)


def open_serial(settings: ModbusSettings, make: Callable[[], P]) -> P:
    """Open the port of the settings, raw and locked, with a protocol on it.

    Raises:
        OSError: there is no such port, or it may not or cannot be used as wanted.
    """
    path = settings.host
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _lock(fd, path)
        _form(fd, path, settings.serial)
        protocol = make()
        SerialTransport(fd, path, protocol)
    except BaseException:
        os.close(fd)
        raise
    return protocol


def _lock(fd: int, path: str) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise words.Told(words.port_taken(path)) from error


def _form(fd: int, path: str, form: SerialForm) -> None:
    """Eight bits, raw, with the wanted speed, parity and stop bits."""
    speed = getattr(termios, f"B{form.baud}", None)
    if speed is None:
        raise words.Told(words.no_such_baud(path, form.baud))
    try:
        characters = termios.tcgetattr(fd)[6]
        characters[termios.VMIN], characters[termios.VTIME] = 1, 0
        control = _control(form, has_wire=not os.ttyname(fd).startswith("/dev/pts/"))
        termios.tcsetattr(fd, termios.TCSANOW, [0, 0, control, 0, speed, speed, characters])
        termios.tcflush(fd, termios.TCIOFLUSH)
    except (OSError, termios.error) as error:
        raise words.Told(words.no_serial_port(path, str(error.args[-1]))) from error


def _control(form: SerialForm, *, has_wire: bool) -> int:
    """The form as flags. A pseudo terminal knows no parity, and Linux refuses it now and then."""
    control = termios.CS8 | termios.CREAD | termios.CLOCAL
    if has_wire and form.parity != "none":
        control |= termios.PARENB
    if has_wire and form.parity == "odd":
        control |= termios.PARODD
    return control | termios.CSTOPB if form.stop_bits == 2 else control
