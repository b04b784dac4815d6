"""One session with an OPC UA server, from the socket to the log-in, and its end.

The steps of asyncua's ``Client.connect`` are taken one by one here, without its supervisor,
watchdog and reconnection: each session has a new client (one used twice can hang, asyncua issue
1660), and ``renew`` is called from the link's own watch.
"""

import asyncio
import logging
from collections.abc import Callable
from urllib.parse import urlsplit

from asyncua import ua
from asyncua.client.client import Client
from asyncua.client.ua_session import UaSession
from asyncua.crypto.security_policies import (
    SecurityPolicy,
    SecurityPolicyAes128Sha256RsaOaep,
    SecurityPolicyAes256Sha256RsaPss,
    SecurityPolicyBasic256Sha256,
)
from asyncua.crypto.uacrypto import x509_from_der
from cryptography.hazmat.primitives.serialization import Encoding

from edgetwin.core.plan import OpcuaSettings, Security
from edgetwin.core.reading import Instant
from edgetwin.devices.opcua.bounds import MOST_BYTES, MOST_CHUNKS, BoundedClient, Refused
from edgetwin.devices.opcua.pki import CertificateRefused, Identity, check_server, own_identity
from edgetwin.devices.opcua.refusal import explain, utc
from edgetwin.devices.opcua.stack import UaStatusCodeError

_log = logging.getLogger(__name__)

POLICIES: tuple[type[SecurityPolicy], ...] = (
    SecurityPolicyAes256Sha256RsaPss,
    SecurityPolicyBasic256Sha256,
    SecurityPolicyAes128Sha256RsaOaep,
)
"""What we accept, best first (OPC 10000-7 §6.6.161 ff.; the older ones are deprecated)."""

_MODES = {
    Security.SIGN: ua.MessageSecurityMode.Sign,
    Security.SIGN_AND_ENCRYPT: ua.MessageSecurityMode.SignAndEncrypt,
}
_CLOSE_S = 1.0
_CLOSED = "it closed the connection. Is it still running?"
_RENEW_SHARE = 0.75  # of the token's lifetime, OPC 10000-4 §5.5.2.1

# asyncua reports what we report ourselves, with tracebacks, and formats each message at INFO.
logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)


class SessionRefused(Exception):
    """There is no session; the message says why and what to do."""


class _OwnPublishing(UaSession):
    """asyncua's session without its publish loop: subscriptions here send their own requests."""

    def ensure_publish_loop(self) -> None:
        """Start nothing."""


class Session:
    """An open, logged-in session. ``client`` offers asyncua's services."""

    def __init__(self, client: Client, bounded: BoundedClient, opened: int) -> None:
        self._client = client
        self._renewed = opened
        self.client = bounded

    @property
    def refusal(self) -> str:
        """Why we hung up on the server, or ""."""
        return self.client.refusal

    def on_end(self, tell: Callable[[str], None]) -> None:
        """Have ``tell`` called once, with the cause, when the connection is gone."""
        protocol = self.client.protocol
        if protocol is None:
            tell(_CLOSED)
            return
        inner = protocol.on_connection_lost

        def ended(error: Exception | None) -> None:
            if inner is not None:
                inner(error)
            tell(str(error) if isinstance(error, Refused) else _CLOSED)

        protocol.on_connection_lost = ended

    async def renew(self, now: Instant) -> None:
        """Renew the channel's keys when three quarters of their life are over.

        Raises:
            Exception: whatever asyncua finds wrong; the session is of no use then.
        """
        if now.mono - self._renewed < self._client.secure_channel_timeout * 1e6 * _RENEW_SHARE:
            return
        await self._client.open_secure_channel(renew=True)
        self.client.revolve_security_token()
        self._renewed = now.mono

    async def close(self) -> None:
        """Say good-bye if the server still listens, and close the socket in any case."""
        await _close(self._client)


async def open_session(settings: OpcuaSettings, now: Callable[[], Instant]) -> Session:
    """Reach the server, check it, log in.

    Raises:
        SessionRefused: no; the message names the cause and the cure.
    """
    client = Client(settings.url, timeout=settings.timeout / 1e9)
    client.name = client.description = "edgetwin"
    client.max_messagesize, client.max_chunkcount = MOST_BYTES, MOST_CHUNKS
    client.uaclient = bounded = BoundedClient(settings.timeout / 1e9)
    bounded.session = _OwnPublishing(bounded)
    identity: Identity | None = None
    try:
        _log_in_as(client, settings)
        if settings.security is not Security.NONE:
            identity = await _secure(client, settings, now)
        await client.connect_socket()
        await client.send_hello()
        await client.open_secure_channel()
        await client.create_session()
        await client.activate_session(client._username, client._password)  # noqa: SLF001 (set above; no getter)
    except CertificateRefused as error:
        await _close(client)
        raise SessionRefused(str(error)) from error
    except asyncio.CancelledError:
        await _close(client)
        raise
    except (
        Exception
    ) as error:  # asyncua raises its own, OSError, TimeoutError and crypto errors alike
        said = isinstance(error, UaStatusCodeError)
        cause = "" if said else bounded.refusal
        cause = cause or explain(error, settings, identity)
        await _close(client)
        raise SessionRefused(cause) from error
    return Session(client, bounded, now().mono)


def _log_in_as(client: Client, settings: OpcuaSettings) -> None:
    if not settings.user:
        return
    client.set_user(settings.user)
    if settings.password_file:
        client.set_password(settings.password_file.read_text("utf-8").rstrip("\r\n"))


async def _secure(client: Client, settings: OpcuaSettings, now: Callable[[], Instant]) -> Identity:
    """Ask for the endpoints, check the server's certificate, set up the channel's protection."""
    if settings.pki is None:
        raise SessionRefused("there is no 'pki' directory for certificates. Name one")
    identity = await asyncio.to_thread(own_identity, settings.pki)
    client.application_uri = identity.uri
    endpoints = await client.connect_and_get_server_endpoints()
    mode = _MODES[settings.security]
    policy, endpoint = _choose(endpoints, mode, settings)
    certificate = x509_from_der(endpoint.ServerCertificate)  # type: ignore[no-untyped-call]  # asyncua's
    if certificate is None:
        raise SessionRefused("it offers protection without a certificate. Give the server one")
    host = urlsplit(settings.url).hostname or ""
    uri = endpoint.Server.ApplicationUri or ""
    der = certificate.public_bytes(Encoding.DER)
    warning = check_server(settings.pki, der, uri, host, utc(now()))
    if warning:
        _log.warning("%s: %s", settings.url, warning)
    protection = policy(certificate, identity.certificate, identity.key, mode)
    client.security_policy = protection  # type: ignore[assignment]  # asyncua infers None's class
    client.uaclient.set_security(protection)
    return identity


def _choose(
    endpoints: list[ua.EndpointDescription], mode: ua.MessageSecurityMode, settings: OpcuaSettings
) -> tuple[type[SecurityPolicy], ua.EndpointDescription]:
    for policy in POLICIES:
        for endpoint in endpoints:
            if endpoint.SecurityMode == mode and endpoint.SecurityPolicyUri == policy.URI:
                return policy, endpoint
    offers = {
        f"{str(end.SecurityPolicyUri).rpartition('#')[2]} ({end.SecurityMode.name.rstrip('_')})"
        for end in endpoints
    }
    raise SessionRefused(
        f"it offers {', '.join(sorted(offers)) or 'nothing'}, and 'security: {settings.security}' "
        f"needs {' or '.join(p.URI.rpartition('#')[2] for p in POLICIES)}. Switch one of these on "
        "in the server, or say which 'security' to use instead"
    )


async def _close(client: Client) -> None:
    protocol = client.uaclient.protocol
    transport = protocol.transport if protocol is not None else None
    try:
        async with asyncio.timeout(_CLOSE_S):
            if transport is not None and not transport.is_closing():
                await client.close_session()
                await client.close_secure_channel()
    except Exception as error:  # noqa: BLE001 (whatever it is: the connection is thrown away)
        _log.debug("the session was not closed in good order: %r", error)
    client.disconnect_socket()
    if transport is not None:
        transport.abort()  # bytes that a hung server never takes would keep the socket open
        await asyncio.sleep(0)  # the loop drops an aborted transport in its next turn
