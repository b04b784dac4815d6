"""Why a server will not have us, for people: the cause, and what to do."""

import struct
from datetime import UTC, datetime
from ssl import SSLError

from edgetwin.core.plan import OpcuaSettings
from edgetwin.core.reading import Instant
from edgetwin.devices.opcua.pki import Identity, thumbprint
from edgetwin.devices.opcua.skip import WireError
from edgetwin.devices.opcua.stack import StatusCodes, UaError, UaStatusCodeError
from edgetwin.devices.opcua.status import words

_Codes = StatusCodes
_LOG_IN = {
    _Codes.BadIdentityTokenInvalid,
    _Codes.BadIdentityTokenRejected,
    _Codes.BadUserAccessDenied,
    _Codes.BadUserSignatureInvalid,
}
_OUR_CERTIFICATE = {
    _Codes.BadCertificateUntrusted,
    _Codes.BadCertificateInvalid,
    _Codes.BadCertificateChainIncomplete,
    _Codes.BadCertificateRevoked,
    _Codes.BadCertificateUriInvalid,
    _Codes.BadSecurityChecksFailed,
}
_FULL = {
    _Codes.BadTooManySessions,
    _Codes.BadMaxConnectionsReached,
    _Codes.BadTcpNotEnoughResources,
}


_CLOCKS = {_Codes.BadCertificateTimeInvalid, _Codes.BadInvalidTimestamp}


def blames_certificate(error: Exception) -> bool:
    """Whether a server may have refused our certificate: by its word, or by hanging up on us."""
    if isinstance(error, UaStatusCodeError):
        return error.code in _OUR_CERTIFICATE or error.code == _Codes.BadCertificateTimeInvalid
    return isinstance(error, ConnectionError) and not isinstance(error, ConnectionRefusedError)


def utc(now: Instant) -> datetime:
    """The wall time of an instant."""
    return datetime.fromtimestamp(now.wall / 1e9, UTC)


def explain(error: Exception, settings: OpcuaSettings, identity: Identity | None) -> str:
    """One sentence on what went wrong while opening a session, and the cure."""
    if isinstance(error, UaStatusCodeError):
        return _explain_code(error.code, settings, identity)
    if isinstance(error, TimeoutError):
        return (
            f"it gives no answer within {settings.timeout / 1e9:g} s. Is it an OPC UA server, "
            "and is it running?"
        )
    if isinstance(error, ConnectionRefusedError):
        return "the connection is refused. Is the server running, and is the port right?"
    if isinstance(error, SSLError | ConnectionError):
        trust = f" Does it trust our certificate {identity.file}?" if identity else ""
        return f"the server closed the connection. Is it an OPC UA server?{trust}"
    return _explain_rest(error)


def _explain_rest(error: Exception) -> str:
    if isinstance(error, OSError):
        cause = error.strerror or error
        return f"{cause}. Check the address, the cable and the files named in the settings"
    if isinstance(error, UaError | WireError | struct.error):
        return (
            f"what it answered cannot be used ({error}). Is it an OPC UA server, and a healthy one?"
        )
    return str(error) or repr(error)


def _who(settings: OpcuaSettings, said: str) -> str:
    if settings.user_certificate:
        return (
            f"the user of {settings.user_certificate} ({said}). Put that certificate where it "
            "keeps those of its users, or check 'user_certificate' and 'user_key'"
        )
    if settings.user:
        return f"user {settings.user!r} ({said}). Check 'user' and 'password_file'"
    return (
        f"a log-in without a user ({said}). Write 'user' and 'password_file', or "
        "'user_certificate' and 'user_key'"
    )


def _validity(identity: Identity | None) -> str:
    if identity is None:
        return ""
    start, end = (
        identity.certificate.not_valid_before_utc,
        identity.certificate.not_valid_after_utc,
    )
    return f"Our certificate holds from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC. "


def _explain_code(code: int, settings: OpcuaSettings, identity: Identity | None) -> str:
    said = f"the server says {words(code)}"
    if code in _LOG_IN:
        return f"it refuses {_who(settings, said)}"
    if code in _CLOCKS:
        return f"its clock and ours differ ({said}). {_validity(identity)}Compare the two clocks"
    if code in _OUR_CERTIFICATE and identity:
        return (
            f"it does not trust us ({said}). Put {identity.file} (thumbprint "
            f"{thumbprint(identity.certificate)}) into the server's trust list"
        )
    if code in _FULL:
        return (
            f"it has no room for one more session ({said}). Close other clients, or raise its limit"
        )
    return f"{said} Its own log may say more"
