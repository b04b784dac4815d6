"""Ways to a device: TCP, TCP with TLS, a serial port. What comes out is an open line."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar

from edgetwin.core.plan import SECOND, ModbusSettings, Transport
from edgetwin.devices.modbus import words
from edgetwin.devices.modbus.lane import SILENCES_UNTIL_LOST
from edgetwin.devices.modbus.serial import open_serial

P = TypeVar("P", bound=asyncio.Protocol)


async def open_line(settings: ModbusSettings, make: Callable[[], P]) -> P:
    """Open what the settings name, with a protocol of ``make`` on it. Needs a deadline.

    Raises:
        OSError: it cannot be reached, or cannot be used; ``words.unreachable`` says why.
    """
    if settings.transport is Transport.SERIAL:
        return open_serial(settings, make)
    context = tls_context(settings) if settings.transport is Transport.TLS else None
    return await _dial(settings, make, context)


async def _dial(
    settings: ModbusSettings, make: Callable[[], P], context: ssl.SSLContext | None
) -> P:
    """Try each address of the host in turn, so that a failure has one reason."""
    loop = asyncio.get_running_loop()
    host, port = settings.host, settings.port
    name = (settings.tls.server_name or host) if context else None
    error: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
    for family, *_, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        try:
            transport, line = await loop.create_connection(
                make, str(address[0]), port, family=family, ssl=context, server_hostname=name
            )
        except OSError as failed:
            error = failed
        else:
            _tune(transport.get_extra_info("socket"), settings.timeout)
            return line
    raise error


def tls_context(settings: ModbusSettings) -> ssl.SSLContext:
    """TLS 1.2 or newer, name and chain verified, with our own certificate where there is one.

    Modbus/TCP Security v2.1 §5: the server asks for the client's certificate and takes its rights
    from it. Files are read anew for each connection: a renewed certificate needs no restart.

    Raises:
        Told: a file cannot be read, or is no certificate.
    """
    files = settings.tls
    what = f"authority file {files.ca_file}"
    try:
        context = ssl.create_default_context(cafile=files.ca_file)
        if files.cert_file:
            what = f"certificate {files.cert_file} or its key {files.key_file}"
            context.load_cert_chain(files.cert_file, files.key_file)
    except OSError as error:  # ssl.SSLError is one too
        raise words.Told(words.unusable_file(what, error)) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.any_certificate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _tune(sock: socket.socket, timeout: int) -> None:
    """Small frames at once; a dead network is noticed by the kernel even when nothing is asked."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
        patience_ms = SILENCES_UNTIL_LOST * timeout * 1000 // SECOND
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience_ms)
