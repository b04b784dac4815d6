"""Options of the office side and of the gateway itself: the whole file."""

from collections.abc import Mapping as Table

from edgetwin.config.kinds import NAME, PEER_NAME, SWITCH, TAG, TEXT, choice, duration, size
from edgetwin.config.option import ListOf, MapOf, Record, Section, Variant, option, section
from edgetwin.config.places import BROKER, FILE, LEVEL, TOPIC, Endpoint
from edgetwin.config.schema.assets import Asset
from edgetwin.config.schema.classes import TagClass
from edgetwin.config.schema.devices import ModbusDevice, OpcuaDevice
from edgetwin.config.schema.hierarchy import Hierarchy
from edgetwin.config.schema.loops import FormulaLoop, PidLoop


@section
class Sparkplug(Section):
    """The gateway as an edge node of Sparkplug B 3.0."""

    noun = "sparkplug"

    group: str = option(LEVEL, "The group id.", example="plant-1")
    edge_node: str | None = option(
        LEVEL, "The edge node id.", example="line-3", unless="the gateway"
    )
    primary_host: str | None = option(
        LEVEL,
        "The host to wait for: what changes while it is offline is told later, as history.",
        example="scada-1",
        unless="none",
    )
    every: int = option(
        duration("100 ms", "1 h"),
        "How often changes are told; the newest value of each tag counts.",
        example="250 ms",
        default="1 s",
    )


@section
class Requests(Section):
    """What may be asked for from upstream. Without this section nobody there is listened to."""

    noun = "requests"

    tags: tuple[str, ...] = option(
        ListOf(TAG, 1, 1000),
        "The tags that may be written, each with 'write:' limits; an array by its own name.",
        example="[skid/speed]",
        unless="none",
    )
    loops: tuple[str, ...] = option(
        ListOf(NAME, 1, 1000),
        "The loops whose mode may be set.",
        example="[pressure]",
        unless="none",
    )
    keys: tuple[str, ...] = option(
        ListOf(FILE, 1, 16),
        "Public keys (Ed25519, PEM): a request is signed by one of them. A key's name in requests "
        "is that of its file, without its ending.",
        example="[/etc/edgetwin/control-room.pem]",
        unless="none",
    )
    expiry: int = option(
        duration("1 s", "30 s"),
        "The longest time that a request may be valid.",
        example="10 s",
        default="30 s",
    )
    unsigned: bool = option(
        SWITCH,
        "With Sparkplug only, whose commands cannot be signed: obey whoever may publish at the "
        "broker. It keeps warning.",
        example="true",
        default="false",
    )


@section
class Challenger(Section):
    """What is normal for the type of a machine over a whole fleet, as a second opinion in shadow.

    It is counted how often it differs from the machine's own detector. It never alarms or writes.
    """

    noun = "challenger"

    keys: tuple[str, ...] = option(
        ListOf(FILE, 1, 16),
        "Public keys (Ed25519, PEM): ranges are signed by one of them.",
        example="[/etc/edgetwin/fleet.pem]",
    )
    report: int = option(
        duration("1 s", "31 d"),
        "How often an event tells how the two agreed.",
        example="1 d",
        default="1 h",
    )


@section
class Upstream(Section):
    """An MQTT broker that summaries and events go to."""

    noun = "upstream"
    called = "cloud"
    goes_on = True

    broker: Endpoint = option(
        BROKER,
        "mqtts:// (TLS, port 8883) or mqtt:// (plain text, port 1883).",
        example="mqtts://broker.example",
    )
    other_brokers: tuple[Endpoint, ...] = option(
        ListOf(BROKER, 1, 16),
        "Other nodes of the same broker, tried in turn when the one in use cannot be reached.",
        example="[mqtts://broker-2.example, mqtts://broker-3.example]",
        unless="none",
    )
    plain_text: bool = option(
        SWITCH,
        "Allow mqtt:// to another machine, where everybody on the way can read and alter.",
        example="true",
        default="false",
    )
    user: str | None = option(TEXT, "The user to log in as.", example="pump-7", unless="none")
    password_file: str | None = option(
        FILE,
        "The file that holds the user's password.",
        example="/etc/edgetwin/cloud.password",
        unless="none",
    )
    ca_file: str | None = option(
        FILE,
        "The certificates to trust, PEM.",
        example="/etc/edgetwin/ca.pem",
        unless="those the operating system trusts",
    )
    cert_file: str | None = option(
        FILE, "Our own certificate, PEM.", example="/etc/edgetwin/pump-7.pem", unless="none"
    )
    key_file: str | None = option(
        FILE,
        "The key of our own certificate, PEM.",
        example="/etc/edgetwin/pump-7.key",
        unless="none",
    )
    client_id: str | None = option(
        TEXT,
        "The name towards the broker, there only once.",
        example="pump-7",
        unless="edgetwin-GATEWAY-UPSTREAM",
    )
    topic: str | None = option(
        TOPIC,
        "What all topics begin with. {enterprise}, {site}, {area}, {line}, {cell} and {gateway} "
        "stand for what hierarchy: and gateway: say; such a topic is written in quotes.",
        example='"{enterprise}/{site}/{area}/{line}/edgetwin/{gateway}"',
        unless="edgetwin/GATEWAY",
    )
    window: int = option(
        duration("100 ms", "1 h"),
        "The span of time that one summary tells of.",
        example="1 min",
        default="10 s",
    )
    keepalive: int = option(
        duration("5 s", "1 h"),
        "How long the line may be silent before the broker takes us for dead.",
        example="60 s",
        default="15 s",
    )
    values: bool = option(
        SWITCH, "Send every value too, not only summaries.", example="true", default="false"
    )
    compression: str = option(
        choice("off", "gzip", what="compression"),
        "gzip: offer to compress records for readers who ask for it (MQTT 5 only).",
        example="gzip",
        default="off",
    )
    sparkplug: Sparkplug | None = option(
        Record(Sparkplug),
        "Speak Sparkplug B instead of edgetwin's own JSON: births, changes, deaths.",
        example="{group: plant-1}",
        unless="edgetwin's own JSON",
    )
    challenger: Challenger | None = option(
        Record(Challenger),
        "Take signed ranges of the fleet from here for assets with a type.",
        example="{keys: [/etc/edgetwin/fleet.pem]}",
        unless="no ranges are listened to",
    )
    requests: Requests | None = option(
        Record(Requests),
        "Let tags and loops be asked for from here, by signed requests.",
        example="{keys: [/etc/edgetwin/control-room.pem], tags: [skid/speed]}",
        unless="nobody upstream is listened to",
    )


@section
class Control(Section):
    """The one switch for all writing."""

    noun = "control"

    enabled: bool = option(
        SWITCH, "Without it nothing is ever written to any device.", example="true", default="false"
    )
    rehearse: bool = option(
        SWITCH,
        "Rehearse the turn of a Modbus loop before each scan of 5 to 20 ms: it writes a fifth "
        "sooner, for 0.2 ms of the processor each time.",
        example="false",
        default="true",
    )


@section
class Gateway(Section):
    """The whole file."""

    noun = "gateway"
    goes_on = True

    gateway: str = option(NAME, "The name of this gateway.", example="pump-station-7")
    hierarchy: Hierarchy | None = option(
        Record(Hierarchy),
        "Where the gateway stands in the plant, by the levels of ISA-95.",
        example="{enterprise: acme, site: berlin, area: water, line: filling-2, cell: skid-7}",
        unless="nothing is told of it",
    )
    state: str | None = option(
        FILE,
        "The folder for what must survive: outbox, models, recordings, certificates.",
        example="/var/lib/edgetwin",
        unless="$STATE_DIRECTORY (set by systemd), or ~/.local/state/edgetwin/GATEWAY",
    )
    control: Control = option(
        Record(Control), "The one switch for all writing.", example="{enabled: true}", default="{}"
    )
    devices: Table[str, ModbusDevice | OpcuaDevice | None] = option(
        MapOf(
            PEER_NAME, Variant("driver", {"modbus": ModbusDevice, "opcua": OpcuaDevice}), "device"
        ),
        "What to read, by name.",
        example="{skid: {driver: modbus, address: 192.168.1.10, tags: {running: {at: 1x0001}}}}",
    )
    assets: Table[str, Asset | None] = option(
        MapOf(PEER_NAME, Record(Asset), "asset"),
        "The machines, by name.",
        example="{pump: {tags: {p: skid/pressure}}}",
        default="{}",
    )
    loops: Table[str, PidLoop | FormulaLoop | None] = option(
        MapOf(NAME, Variant("law", {"pid": PidLoop, "formula": FormulaLoop}), "loop"),
        "The control loops, by name.",
        example="{pressure: {law: pid, pv: pump/p, sp: 4.2 bar, mv: pump/n, gain: 120}}",
        default="{}",
    )
    classes: Table[str, TagClass | None] = option(
        MapOf(NAME, Record(TagClass), "class"),
        "Classes of tags, by name: how they are told upstream.",
        example="{slow: {window: 1 min}}",
        default="{}",
    )
    upstream: Table[str, Upstream | None] = option(
        MapOf(NAME, Record(Upstream), "upstream"),
        "Where summaries and events go, by name.",
        example="{cloud: {broker: mqtts://broker.example}}",
        default="{}",
    )
    outbox: int = option(
        size("1 MB", "1000 GB"),
        "The disk space for what is not yet delivered. When it is full the oldest goes, and a gap "
        "record says so.",
        example="1 GB",
        default="256 MB",
    )
    recording: int = option(
        size("0 MB", "1000 GB"),
        "The disk space for the recording that edgetwin replay takes; 0 MB for none. When it is "
        "full the oldest goes.",
        example="50 MB",
        default="0 MB",
    )
