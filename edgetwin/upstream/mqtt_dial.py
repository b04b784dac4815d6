"""What comes before MQTT: the files that prove who we are, and a thread for what blocks."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable
from typing import TypeVar, cast

from edgetwin.core.plan import MqttSettings
from edgetwin.upstream.mqtt_refusal import unreadable

T = TypeVar("T")


def password(settings: MqttSettings) -> str | None:
    """The password, read anew for each connection: a changed file needs no restart.

    Raises:
        Refused: the file cannot be read.
    """
    if settings.password_file is None:
        return None
    try:
        return settings.password_file.read_text().strip()
    except OSError as error:
        raise unreadable(error, f"password file {settings.password_file}", settings) from error


def tls_context(settings: MqttSettings) -> ssl.SSLContext:
    """TLS 1.2 or newer, name and chain verified; with our own certificate where there is one.

    Raises:
        Refused: a file cannot be read, or is no certificate.
    """
    what = f"authority file {settings.ca_file}"
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.cert_file:
            what = f"certificate {settings.cert_file} or its key"
            context.load_cert_chain(settings.cert_file, settings.key_file)
    except OSError as error:  # ssl.SSLError is one too
        raise unreadable(error, what, settings) from error
    return context


async def in_thread(work: Callable[[], T], name: str) -> T:
    """Run blocking work in a daemon thread: a name server that hangs holds up no exit.

    When nobody waits any more, the result is dropped.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(cast("T", result))

    def run() -> None:
        result, failed = None, None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 carried over to the loop, and raised there
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, failed)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await done
