"""Why a broker cannot be used, in words that say what to do about it."""

import socket
import ssl

from edgetwin.core.errors import EdgetwinError
from edgetwin.core.plan import MqttSettings


class LinkLost(EdgetwinError):
    """The line to a broker is down. It may be up again any moment."""


class Refused(LinkLost):
    """Somebody said no: trying again soon will not help, a person has to change something."""


class WrongVersion(LinkLost):
    """The broker does not speak this version of MQTT."""


class HungUp(WrongVersion):
    """The broker hung up without a word: perhaps this version, perhaps anything else."""


_BAD_CLIENT_ID, _BAD_PASSWORD, _NOT_AUTHORIZED, _BANNED, _BAD_METHOD = 133, 134, 135, 138, 140
UNSUPPORTED_VERSION = 132

_NETWORK: tuple[tuple[type[Exception], str], ...] = (
    (
        socket.gaierror,
        "the name cannot be resolved. Check it, and this gateway's name server",
    ),
    (
        ConnectionRefusedError,
        "nothing listens there. Check host and port, or start the broker",
    ),
    (TimeoutError, "no answer. Check the network and firewalls on the way"),
    (
        ConnectionError,
        "hung up at once. Is this port an MQTT port, with or without TLS?",
    ),
)

_NOT_YET_VALID, _EXPIRED, _REVOKED = 9, 10, 23
_UNKNOWN_ISSUER = (18, 19, 20, 21)
_OTHER_NAME = (62, 64)


def place(settings: MqttSettings) -> str:
    """The broker as it is named in every message: ``broker broker.example:8883``."""
    return f"broker {settings.host}:{settings.port}"


def unreachable(error: Exception, settings: MqttSettings) -> LinkLost:
    """What an error before MQTT began means: name, network, TLS, files."""
    where = place(settings)
    if isinstance(error, ssl.SSLCertVerificationError):
        return Refused(f"{where}: {_certificate(error, settings)}")
    if isinstance(error, ssl.SSLError):
        return LinkLost(
            f"{where}: the TLS handshake failed ({error.reason or error}). "
            "Does this port speak TLS, and does it accept this gateway's certificate?"
        )
    for kind, words in _NETWORK:
        if isinstance(error, kind):
            return LinkLost(f"{where}: {words}")
    return LinkLost(f"{where}: {error}")


def _certificate(error: ssl.SSLCertVerificationError, settings: MqttSettings) -> str:
    code = error.verify_code
    if code in _OTHER_NAME:
        return (
            f"its certificate is for another name than {settings.host}. "
            "Use the name in the certificate, or give the broker one for this name"
        )
    if code in _UNKNOWN_ISSUER:
        known = settings.ca_file or "this system's list"
        return (
            f"its certificate comes from an authority that is not in {known}. "
            "Name the file with the right authority in 'ca_file'"
        )
    if code == _EXPIRED:
        return (
            "its certificate has expired, by this gateway's clock. Renew it, or set the clock right"
        )
    if code == _NOT_YET_VALID:
        return (
            "its certificate is not valid yet, by this gateway's clock. Set the clock right (NTP)"
        )
    if code == _REVOKED:
        return "its certificate has been revoked. Renew it"
    return f"its certificate is refused ({error.verify_message})"


def unreadable(error: OSError | ssl.SSLError, what: str, settings: MqttSettings) -> Refused:
    """A file that the line needs is missing or wrong."""
    cause = error.strerror or str(error)
    return Refused(f"{place(settings)}: the {what} cannot be used ({cause}). Check path and rights")


def connack(code: int, name: str, settings: MqttSettings) -> LinkLost:
    """What a refusal in CONNACK means (MQTT 5 §3.2.2.2; those of 3.1.1 come translated)."""
    where = place(settings)
    if code == UNSUPPORTED_VERSION:
        return WrongVersion(f"{where}: {name}")
    if code in (_BAD_PASSWORD, _NOT_AUTHORIZED, _BAD_METHOD):
        who = f"user '{settings.user}'" if settings.user else "a client without a user name"
        return Refused(
            f"{where} refuses {who} ({name}). Check 'user' and 'password_file' of this upstream"
        )
    if code == _BAD_CLIENT_ID:
        return Refused(f"{where} refuses client id '{settings.client_id}'. Set another 'client_id'")
    if code == _BANNED:
        return Refused(f"{where} has banned this gateway. Ask who runs the broker")
    return LinkLost(f"{where} refuses the connection: {name}. It is tried again")


def puback(code: int, name: str, topic: str, settings: MqttSettings) -> Refused:
    """What a refusal of one message means (MQTT 5 §3.4.2.1)."""
    cure = "Give this user the right to write there" if code == _NOT_AUTHORIZED else "Ask its owner"
    return Refused(f"{place(settings)} refuses messages on '{topic}': {name}. {cure}")
