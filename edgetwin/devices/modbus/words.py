"""What devices and networks say in numbers, in sentences that name the cure."""

import errno
import socket

EXCEPTIONS = {
    1: "illegal function: the device does not know this kind of request",
    2: "illegal data address: the device has no such address",
    3: "illegal data value: the device does not take this value or this many registers",
    4: "server device failure",
    5: "acknowledge: the device needs longer for this",
    6: "server device busy",
    8: "memory parity error",
    10: "gateway path unavailable: the gateway is not set up for this unit",
    11: "gateway target failed to respond: nobody behind the gateway has this unit id",
}
"""Application protocol v1.1b3 §7."""


def exception_words(code: int) -> str:
    """An exception code in words."""
    return f"{EXCEPTIONS.get(code, 'not in the standard')} (exception {code})"


_OTHER_WRITE = {
    5: "Try `write_by: multiple`, which uses function 15",
    6: "Try `write_by: multiple`, which uses function 16",
    15: "Try `write_by: single`, which uses function 5",
    16: "It may know function 6, but that writes one register alone: ask its maker",
    22: "One bit of a register takes function 22. Write a coil, or the register as a whole",
    23: "Try `write_by: single`, which uses functions 6 and 16",
}


def unknown_write(function: int) -> str:
    """What to do when a device does not know the function that a write went by."""
    return f". {_OTHER_WRITE[function]}" if function in _OTHER_WRITE else ""


def unreachable(error: OSError) -> str:
    """Why a connection could not be made, and what to do."""
    if isinstance(error, socket.gaierror):
        return "the name cannot be resolved. Check how `host` is written, or give its IP address"
    if error.errno == errno.ECONNREFUSED:
        return (
            "the connection is refused: nothing listens at this port. Check `port` (most devices: "
            "502), and that the device's Modbus TCP server is switched on"
        )
    if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN):
        return (
            "there is no route to it. Check `host`, the cable, and this machine's network settings"
        )
    return f"{error.strerror or error}. Check `host`, `port` and this machine's network settings"


def unanswered_connect(timeout_s: float) -> str:
    """Nobody answered the knock."""
    return (
        f"nothing answered within {timeout_s:g} s. Check that the device has power and its cable, "
        "that `host` is its address, and that no firewall stands between"
    )


def unanswered(timeout_s: float, in_flight: int) -> str:
    """One request without an answer."""
    text = f"did not answer within {timeout_s:g} s"
    return text if in_flight == 1 else f"{text} (if this goes on: many devices need `in_flight: 1`)"


def silent(unit: int, times: int, timeout_s: float) -> str:
    """Connected, but requests stay without answers."""
    return (
        f"unit {unit} did not answer {times} times in a row within {timeout_s:g} s. Check that "
        f"`unit: {unit}` is the device's unit id, or give it longer with `timeout`"
    )


def behind_gateway(unit: int, words: str) -> str:
    """A gateway answers in the place of the unit."""
    return (
        f"unit {unit} cannot be reached behind the gateway: {words}. Check `unit: {unit}`, and "
        "that the device behind the gateway has power and its cable"
    )


def line_closed(error: Exception | None) -> str:
    """The other side, or the network, ended the connection."""
    if error is None:
        return "the device closed the connection. It may have restarted, or serve too many clients"
    if isinstance(error, TimeoutError) or getattr(error, "errno", 0) == errno.ETIMEDOUT:
        return "the network no longer delivers. Check the cable and the device's power"
    return f"the connection broke ({error}). Check the cable and the device's power"


def not_modbus(finding: str) -> str:
    """The bytes that come in are no Modbus TCP."""
    return (
        f"what comes back is no Modbus TCP: {finding}. Check that `host` and `port` are those of a "
        "Modbus TCP server, and that no serial converter passes RTU frames through"
    )
