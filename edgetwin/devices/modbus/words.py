"""What devices and networks say in numbers, in sentences that name the cure."""

import errno
import socket
import ssl

from edgetwin.core.plan import Transport

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


class Told(OSError):
    """A connection that cannot be made; the text already says why and what to do."""


def unreachable(error: OSError, transport: Transport = Transport.TCP) -> str:
    """Why a connection could not be made, and what to do."""
    if isinstance(error, Told):
        return str(error)
    if transport is Transport.SERIAL:
        return _no_port(error)
    if isinstance(error, ssl.SSLError):
        return _no_tls(error)
    return _no_network(error, transport)


def _no_network(error: OSError, transport: Transport) -> str:
    if isinstance(error, socket.gaierror):
        return "the name cannot be resolved. Check how `address` is written, or give an IP address"
    if error.errno == errno.ECONNREFUSED:
        usual = {Transport.TCP: " (most devices: 502)", Transport.TLS: " (mostly 802)"}
        return (
            "the connection is refused: nothing listens at this port. Check the port"
            f"{usual.get(transport, '')}, and that the device's server is switched on"
        )
    if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN):
        return (
            "there is no route to it. Check `address`, the cable, and this machine's network "
            "settings"
        )
    if transport is Transport.TLS and isinstance(error, ConnectionError):
        return (
            "the device ended the TLS handshake. Check that its port speaks TLS, and that it knows "
            "our certificate (`cert_file`) and the role in it"
        )
    return f"{error.strerror or error}. Check `address` and this machine's network settings"


def _no_tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        cures = {
            10: "It is out of date, or this machine's clock is wrong",
            62: "Write the name that is in it as `server_name`",
        }
        cure = cures.get(
            error.verify_code, "Give the authority that signed it, or itself, as `ca_file`"
        )
        return f"the device's certificate is not accepted: {error.verify_message}. {cure}"
    if "ALERT" in (error.reason or ""):
        alert = (error.reason or "").lower().replace("_", " ")
        return (
            f"the device refuses our TLS ({alert}). Check `cert_file` and `key_file`, and that the "
            "device trusts the authority that signed them"
        )
    return f"no TLS came about ({error.reason or error}). Check that this port speaks TLS"


def _no_port(error: OSError) -> str:
    if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return (
            "there is no such port. Check that the adapter is plugged in; `ls /dev/serial/by-id` "
            "shows names that stay the same when it is moved"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            "edgetwin may not open it. Add its user to the port's group, mostly: "
            "usermod -aG dialout edgetwin"
        )
    return f"{error.strerror or error}. Check the adapter and `address`"


def port_taken(path: str) -> str:
    """Another program holds the serial port."""
    return (
        f"another program uses it, and two on one line read each other's answers. `fuser {path}` "
        "shows which; end it"
    )


def port_gone(reason: str) -> str:
    """An open serial port has failed."""
    return f"the port failed ({reason}). Check that the adapter is plugged in and has power"


def no_such_baud(path: str, baud: int) -> str:
    """The operating system does not know the speed."""
    return f"this system cannot set {path} to {baud} baud. Write another `baud`"


def no_serial_port(path: str, reason: str) -> str:
    """The file is no terminal, or does not take the form."""
    return (
        f"it cannot be set up as a serial port ({reason}). Check that {path} is one, and that its "
        "adapter can do `baud`, `parity` and `stop_bits`"
    )


def unusable_file(what: str, error: OSError) -> str:
    """A file for TLS cannot be used."""
    reason = error.strerror or str(error)
    if isinstance(error, ssl.SSLError):
        reason = "it holds no PEM certificate and key that belong together"
    return f"the {what} cannot be used: {reason}. Check the path, and that edgetwin may read it"


def unanswered_connect(timeout_s: float, transport: Transport = Transport.TCP) -> str:
    """Nobody answered the knock."""
    tls = ", that its port speaks TLS" if transport is Transport.TLS else ""
    return (
        f"nothing answered within {timeout_s:g} s. Check that the device has power and its cable, "
        f"that `address` is right{tls}, and that no firewall stands between"
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


def unreadable(unit: int, times: int, finding: str) -> str:
    """Something answers on a serial line, but not readably."""
    return (
        f"unit {unit} was not understood {times} times in a row: {finding}. Check `baud`, `parity` "
        "and `stop_bits`, that A and B are not exchanged, and the line's termination"
    )


HELD_BACK = (
    "it was held back: the late reply to the request before could have been taken for its own"
)


def behind_gateway(unit: int, words: str) -> str:
    """A gateway answers in the place of the unit."""
    return (
        f"unit {unit} cannot be reached behind the gateway: {words}. Check `unit: {unit}`, and "
        "that the device behind the gateway has power and its cable"
    )


def line_closed(error: Exception | None, *, is_tls: bool = False) -> str:
    """The other side, or the network, ended the connection."""
    if error is None and is_tls:  # TLS 1.3 refuses our certificate only after the handshake
        return (
            "the device closed the connection. It may have restarted, or not accept our "
            "certificate. Check `cert_file` and `key_file`"
        )
    if error is None:
        return "the device closed the connection. It may have restarted, or serve too many clients"
    if isinstance(error, Told):
        return str(error)
    if isinstance(error, ssl.SSLError):
        return _no_tls(error)
    if isinstance(error, TimeoutError) or getattr(error, "errno", 0) == errno.ETIMEDOUT:
        return "the network no longer delivers. Check the cable and the device's power"
    return f"the connection broke ({error}). Check the cable and the device's power"


def not_modbus(finding: str) -> str:
    """The bytes that come in are no Modbus TCP."""
    return (
        f"what comes back is no Modbus TCP: {finding}. Check that `address` is that of a Modbus "
        "TCP server; if a serial converter passes RTU frames on, write rtu+tcp://host:port"
    )
