"""The plan: the configuration compiled to what each part of a running gateway needs.

All of it is frozen, and nothing is left to look up. Only ``config.compile`` makes plans. Shells
take their own part (``ModbusSettings``, ``MqttSettings`` …) and know nothing of YAML. Durations are
integers in nanoseconds unless the name carries another unit.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from edgetwin.core.blocks import Limits, Span
from edgetwin.core.expression import Expression
from edgetwin.core.laws.law import Law
from edgetwin.core.ranges import ChallengerSettings
from edgetwin.core.tags import TagTable, TypedAsset

SECOND = 1_000_000_000


# ---------------------------------------------------------------- devices


@dataclass(frozen=True, slots=True)
class ScanGroup:
    """Tags of one device that are read together.

    ``tags`` are ascending twin indices without a hole.
    """

    number: int
    period: int
    tags: range


class WriteBy(StrEnum):
    """Which functions of Modbus a device is written by.

    ``single``: 5 for a coil, 6 for one register, 16 for more. ``multiple``: 15 and 16 always, for
    devices without 5 and 6. ``combined``: 23, which writes registers and reads them back at once.
    """

    SINGLE = "single"
    MULTIPLE = "multiple"
    COMBINED = "combined"


class Transport(StrEnum):
    """How Modbus frames travel."""

    TCP = "tcp"
    TLS = "tls"
    RTU_TCP = "rtu+tcp"
    SERIAL = "serial"

    @property
    def is_rtu(self) -> bool:
        """Whether frames go as on a serial line, without transaction ids."""
        return self in (Transport.RTU_TCP, Transport.SERIAL)


@dataclass(frozen=True, slots=True)
class SerialForm:
    """How characters go over a serial line; ``parity`` is even, odd or none."""

    baud: int = 19200
    parity: str = "even"
    stop_bits: int = 1


@dataclass(frozen=True, slots=True)
class TlsForm:
    """Whom to trust, and our own certificate. ``server_name`` is that in the device's, if other."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str = ""
    any_certificate: bool = False


@dataclass(frozen=True, slots=True)
class ModbusSettings:
    """One Modbus unit. ``host`` is the path of the port on a serial line.

    ``max_gap`` is in registers; ``in_flight`` is how many requests may be open at once.
    """

    host: str
    port: int = 502
    unit: int = 1
    timeout: int = SECOND
    pause: int = 0
    in_flight: int = 1
    max_registers: int = 125
    max_bits: int = 2000
    max_gap: int = 32
    forbidden: tuple[Span, ...] = ()
    write_by: WriteBy = WriteBy.SINGLE
    transport: Transport = Transport.TCP
    serial: SerialForm = SerialForm()
    tls: TlsForm = TlsForm()
    share: bool = False

    @property
    def is_shared(self) -> bool:
        """Whether other units at the same place are asked over the same line."""
        return self.share or self.transport.is_rtu

    @property
    def place(self) -> str:
        """Where it is reached, for people."""
        if self.transport is Transport.SERIAL:
            return self.host
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def limits(self) -> Limits:
        """What the request planner has to keep."""
        return Limits(self.max_registers, self.max_bits, self.max_gap, self.forbidden)


class Security(StrEnum):
    """How an OPC UA channel is protected."""

    SIGN_AND_ENCRYPT = "sign and encrypt"
    SIGN = "sign"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class OpcuaSettings:
    """One OPC UA server. ``pki`` holds own/, trusted/ and rejected/ certificates."""

    url: str
    subscribe: bool = False
    security: Security = Security.SIGN_AND_ENCRYPT
    user: str = ""
    password_file: Path | None = None
    user_certificate: Path | None = None
    user_key: Path | None = None
    pki: Path | None = None
    timeout: int = 2 * SECOND
    max_nodes: int = 1000


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """One device: which driver, its settings, and what to read how often."""

    index: int
    name: str
    driver: str
    settings: object
    groups: tuple[ScanGroup, ...]
    retry: int = 5 * SECOND


# ---------------------------------------------------------------- twin, analysis


@dataclass(frozen=True, slots=True)
class DerivedPlan:
    """A tag that is computed: its expression over other tags."""

    tag: int
    expression: Expression
    inputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CapturePlan:
    """What is sent raw around an anomaly: ns before and after it, and at most ``size`` bytes."""

    before: int = 30 * SECOND
    after: int = 10 * SECOND
    size: int = 1_000_000


@dataclass(frozen=True, slots=True)
class DetectorPlan:
    """One asset watched by one model.

    A row of all ``tags`` is taken every ``every``; the model sees the last ``window`` rows. With
    ``model`` None the built-in detector is trained on the first ``train`` good rows. An alarm
    starts when the score passes ``limit``.
    """

    name: str
    tags: tuple[int, ...]
    score_tag: int
    verdict_tag: int
    every: int = SECOND
    window: int = 30
    train: int = 400
    limit: float = 1.5
    model: Path | None = None
    sha256: str = ""
    capture: CapturePlan = field(default_factory=CapturePlan)


def rows_needed(window: int) -> int:
    """The fewest rows to learn from: each half of them holds two windows, or twenty rows."""
    return max(4 * window, 40)


# ---------------------------------------------------------------- control


class Mode(StrEnum):
    """What a loop may do.

    ``shadow`` computes and records what it would write; only ``auto`` writes.
    """

    OFF = "off"
    SHADOW = "shadow"
    AUTO = "auto"


class Fallback(StrEnum):
    """What happens to the output when the loop can no longer be trusted, or stops."""

    HOLD = "hold"
    VALUE = "value"


@dataclass(frozen=True, slots=True)
class Fail:
    """A fail-safe or end rule: hold what stands, or go to ``value`` at the tag's own rate."""

    action: Fallback = Fallback.HOLD
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class LoopPlan:
    """One control loop.

    ``sp`` is a number or the index of a tag; the last four are the loop's own twin tags.
    """

    name: str
    law: Law
    pv: int
    sp: float | int
    sp_is_tag: bool
    mv: int
    every: int
    mode: Mode
    on_fault: Fail
    on_stop: Fail
    permissives: tuple[tuple[str, Expression, tuple[int, ...]], ...]
    sp_tag: int
    out_tag: int
    mode_tag: int
    inputs: tuple[int, ...] = ()


# ---------------------------------------------------------------- alarms


class AlarmAction(StrEnum):
    """What a person can do about an alarm."""

    ACK = "ack"
    SHELVE = "shelve"
    UNSHELVE = "unshelve"


@dataclass(frozen=True, slots=True)
class AlarmPlan:
    """One alarm: on while its tag is above ``limit``, or below it where ``falls``.

    It is over when the value is back by more than ``deadband``. Delays are ns. ``latch``: it stays
    until a person has seen it, even if its cause is gone. It says nothing while ``suppressed_by``,
    a tag (-1: none), is not 0. ``priority`` 1 is the highest of four.
    """

    name: str
    tag: int
    limit: float
    falls: bool = False
    deadband: float = 0.0
    on_delay: int = 0
    off_delay: int = 0
    latch: bool = False
    priority: int = 3
    advice: str = ""
    suppressed_by: int = -1


# ---------------------------------------------------------------- office side


@dataclass(frozen=True, slots=True)
class ClassPlan:
    """A class of tags with a window of its own; which tags they are, they say themselves."""

    name: str
    window: int


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """One broker.

    TLS is on unless ``tls`` is False, which the configuration allows only by name. ``others`` are
    host and port of the other nodes, if it is a cluster.
    """

    host: str
    port: int
    tls: bool = True
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    user: str = ""
    password_file: Path | None = None
    client_id: str = ""
    keepalive_s: int = 15
    in_flight: int = 20
    others: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class SparkplugSettings:
    """What makes the gateway an edge node of Sparkplug B.

    Changes are told every ``every`` ns at most. With a ``primary_host`` only while that is online.
    """

    group: str
    node: str
    primary_host: str = ""
    every: int = SECOND


@dataclass(frozen=True, slots=True)
class RequestSettings:
    """What may be asked for through an upstream: these tags and loops (by index), nothing else.

    A request is signed by one of ``keys`` (files of public keys) and valid for ``expiry`` ns at
    most. ``unsigned`` is for Sparkplug alone, whose commands nobody can sign.
    """

    tags: frozenset[int] = frozenset()
    loops: frozenset[int] = frozenset()
    keys: tuple[Path, ...] = ()
    expiry: int = 30 * SECOND
    unsigned: bool = False


@dataclass(frozen=True, slots=True)
class UpstreamPlan:
    """One upstream: where it goes, below which topic, and what is sent.

    ``compress``: it offers to. With ``sparkplug`` it speaks Sparkplug B and nothing else; topic,
    window, values and compress are idle.
    """

    name: str
    broker: MqttSettings
    topic: str
    window: int = 10 * SECOND
    values: bool = False
    sparkplug: SparkplugSettings | None = None
    requests: RequestSettings | None = None
    compress: bool = False
    challenger: ChallengerSettings | None = None


@dataclass(frozen=True, slots=True)
class GatewayPlan:
    """Everything one daemon does.

    ``text`` is the configuration it was compiled from, for the recording's header.
    """

    name: str
    state: Path
    tags: TagTable
    devices: tuple[DevicePlan, ...]
    derived: tuple[DerivedPlan, ...] = ()
    detectors: tuple[DetectorPlan, ...] = ()
    loops: tuple[LoopPlan, ...] = ()
    alarms: tuple[AlarmPlan, ...] = ()
    classes: tuple[ClassPlan, ...] = ()
    upstreams: tuple[UpstreamPlan, ...] = ()
    control: bool = False
    rehearse: bool = True
    outbox_bytes: int = 256 << 20
    recording_bytes: int = 0
    text: str = ""
    source: str = ""
    assets: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    typed: tuple[TypedAsset, ...] = ()
    hierarchy: Mapping[str, str] = field(default_factory=dict)
