"""One session with an OPC UA server, from the socket to the log-in, and its end.

The steps of asyncua's ``Client.connect`` are taken one by one here, without its supervisor,
watchdog and reconnection: each session has a new client (one used twice can hang, asyncua issue
1660), and ``renew`` is called from the link's own watch.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple
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
from cryptography.x509 import Certificate

from edgetwin.core.plan import OpcuaSettings, Security
from edgetwin.core.reading import Instant
from edgetwin.devices.opcua.bounds import MOST_READS, BoundedClient, Refused
from edgetwin.devices.opcua.pki import Identity, load_certificate, load_key, own_identities
from edgetwin.devices.opcua.refusal import blames_certificate, explain, utc
from edgetwin.devices.opcua.stack import UaStatusCodeError
from edgetwin.devices.opcua.trusted import CertificateRefused, check_server

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
    """There is no session; the message says why and what to do.

    ``by_certificate``: it may be ours that the server does not take.
    """

    by_certificate = False


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


async def open_session(
    settings: OpcuaSettings, now: Callable[[], Instant], most_reads: int = MOST_READS
) -> Session:
    """Reach the server, check it, log in.

    ``most_reads`` bounds the work that one reply may make (``bounds``).

    Raises:
        SessionRefused: no; the message names the cause and the cure.
    """
    first, *others = await _identities(settings, now)
    try:
        return await _open(settings, now, first, most_reads)
    except SessionRefused as refused:
        if not (others and first and refused.by_certificate):
            raise
    end = others[-1].certificate.not_valid_after_utc if others[-1] else utc(now())
    _log.warning(
        "%s: it does not take our new certificate yet; the old one ends on %s. Put %s into the "
        "server's trust list before",
        settings.url,
        f"{end:%Y-%m-%d}",
        first.file,
    )
    return await _open(settings, now, others[-1], most_reads)


async def _identities(
    settings: OpcuaSettings, now: Callable[[], Instant]
) -> tuple[Identity | None, ...]:
    if settings.security is Security.NONE:
        return (None,)
    if settings.pki is None:
        raise SessionRefused("there is no 'pki' directory for certificates. Name one")
    try:
        return await asyncio.to_thread(own_identities, settings.pki, utc(now()))
    except OSError as error:
        raise SessionRefused(explain(error, settings, None)) from error


async def _open(
    settings: OpcuaSettings,
    now: Callable[[], Instant],
    identity: Identity | None,
    most_reads: int,
) -> Session:
    client = Client(settings.url, timeout=settings.timeout / 1e9)
    client.name = client.description = "edgetwin"
    client.uaclient = bounded = BoundedClient(settings.timeout / 1e9)
    bounded.most_reads = most_reads
    bounded.session = _OwnPublishing(bounded)
    try:
        user = _log_in_as(client, settings)
        if identity:
            await _secure(client, settings, now, identity)
        await client.connect_socket()
        await client.send_hello()
        await client.open_secure_channel()
        await client.create_session()
        await client.activate_session(user.name, user.password, user.certificate)
    except asyncio.CancelledError:
        await _close(client)
        raise
    except (
        Exception
    ) as error:  # asyncua raises its own, OSError, TimeoutError and crypto errors alike
        refusal = _refusal(error, bounded, settings, identity)
        await _close(client)
        raise refusal from error
    return Session(client, bounded, now().mono)


def _refusal(
    error: Exception, bounded: BoundedClient, settings: OpcuaSettings, identity: Identity | None
) -> SessionRefused:
    """Our own words are passed on; a limit of ours that was met says more than what came of it."""
    if isinstance(error, CertificateRefused | SessionRefused):
        return SessionRefused(str(error))
    said = isinstance(error, UaStatusCodeError)
    cause = "" if said else bounded.refusal
    refusal = SessionRefused(cause or explain(error, settings, identity))
    refusal.by_certificate = blames_certificate(error)
    return refusal


class _User(NamedTuple):
    name: str | None = None
    password: str | None = None
    certificate: Certificate | None = None


def _log_in_as(client: Client, settings: OpcuaSettings) -> _User:
    """Who logs in: nobody by name, a user with a password, or the holder of a certificate's key."""
    if settings.user_certificate and settings.user_key:
        certificate = load_certificate(settings.user_certificate)
        if certificate is None:
            raise SessionRefused(f"{settings.user_certificate} is no certificate. Give one, as PEM")
        client.user_certificate = certificate
        client.user_private_key = load_key(settings.user_key)
        return _User(certificate=certificate)
    if settings.password_file:
        return _User(settings.user, settings.password_file.read_text("utf-8").rstrip("\r\n"))
    return _User(settings.user or None)


async def _secure(
    client: Client, settings: OpcuaSettings, now: Callable[[], Instant], identity: Identity
) -> None:
    """Ask for the endpoints, check the server's certificate, set up the channel's protection."""
    client.application_uri = identity.uri
    endpoints = await client.connect_and_get_server_endpoints()
    mode = _MODES[settings.security]
    policy, endpoint = _choose(endpoints, mode, settings)
    certificate = x509_from_der(endpoint.ServerCertificate)  # type: ignore[no-untyped-call]  # asyncua's
    if certificate is None:
        raise SessionRefused("it offers protection without a certificate. Give the server one")
    host = urlsplit(settings.url).hostname or ""
    uri = endpoint.Server.ApplicationUri or ""
    pki = identity.file.parents[1]
    warning = check_server(pki, endpoint.ServerCertificate, uri, host, utc(now()))
    if warning:
        _log.warning("%s: %s", settings.url, warning)
    protection = policy(certificate, identity.certificate, identity.key, mode)
    client.security_policy = protection  # type: ignore[assignment]  # asyncua infers None's class
    client.uaclient.set_security(protection)


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
