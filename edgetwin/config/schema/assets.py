"""Options of the assets: short names, derived tags, detectors."""

from collections.abc import Mapping as Table

from edgetwin.config.kinds import (
    ALIAS,
    AMOUNT,
    FORMULA,
    NAME,
    TAG,
    TEXT,
    choice,
    duration,
    number,
    size,
    whole,
)
from edgetwin.config.option import ListOf, MapOf, Record, Section, Short, option, section
from edgetwin.config.places import FILE, HASH
from edgetwin.config.schema.alarms import Alarm
from edgetwin.core.expression import Expression
from edgetwin.core.units import Quantity


@section
class Derived(Section):
    """A value computed from others. It is as good as the worst of them."""

    noun = "derived tag"
    called = "power"

    is_: Expression = option(
        FORMULA,
        "An expression over the asset's tags, or any other as device.tag: + - * / // % **, "
        "comparisons, and, or, not, a if b else c, "
        "abs min max sqrt exp log log10 sin cos tan clamp sign.",
        example="p * q / 36",
    )
    unit: str | None = option(TEXT, "The engineering unit.", example="kW", unless="no unit")
    range: tuple[Quantity, ...] = option(
        ListOf(AMOUNT, 2, 2),
        "Lowest and highest sensible value. One outside is marked uncertain: out of range.",
        example="[0, 30]",
        unless="no bounds",
    )
    alarms: Table[str, Alarm | None] = option(
        MapOf(NAME, Record(Alarm), "alarm"),
        "Its alarms, by name.",
        example="{high: {above: 30, on_delay: 10 s}}",
        default="{}",
    )
    class_: str | None = option(
        NAME,
        "Its class: how it is told upstream.",
        example="slow",
        unless="the class default; without that, summaries of the upstream's window",
    )


@section
class Capture(Section):
    """The raw values around an anomaly, of the tags looked at; 0 s and 0 s: none."""

    noun = "capture"

    before: int = option(
        duration("0 s", "10 min"), "How long before it.", example="1 min", default="30 s"
    )
    after: int = option(
        duration("0 s", "10 min"), "How long after it began.", example="30 s", default="10 s"
    )
    size: int = option(
        size("10 kB", "100 MB"),
        "What one capture may take; it ends there. The gateway keeps 500,000 values at most.",
        example="5 MB",
        default="1 MB",
    )


@section
class Watch(Section):
    """The detector that watches an asset. The word ``learned`` alone takes all defaults."""

    noun = "watch"

    tags: tuple[str, ...] = option(
        ListOf(TAG, 1, 256),
        "What it looks at, by the asset's own names.",
        example="[p, q, i]",
        unless="all of the asset's tags but bits and texts",
    )
    every: int = option(
        duration("10 ms", "1 h"), "How often it looks.", example="100 ms", default="1 s"
    )
    window: int = option(
        whole(2, 1000), "How many looks back it judges by.", example="60", default="30"
    )
    train: int = option(
        whole(50, 100_000),
        "How many looks at the healthy machine it learns from, after the first start.",
        example="2000",
        default="400",
    )
    limit: float = option(
        number(0.1, 100),
        "The score above which it is an anomaly; 1 is the edge of what was learned.",
        example="2.2",
        default="1.5",
    )
    model: str | None = option(
        FILE,
        "A given ONNX model in place of a learned one.",
        example="models/pump.onnx",
        unless="learned here",
    )
    sha256: str | None = option(
        HASH,
        "The model's hash; another file is refused.",
        example="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        unless="not checked",
    )
    capture: Capture = option(
        Record(Capture),
        "What is sent raw when there is an anomaly.",
        example="{before: 1 min, after: 30 s}",
        default="{}",
    )


@section
class Asset(Section):
    """A machine: the tags that belong to it, by short names."""

    noun = "asset"
    called = "pump"
    goes_on = True

    tags: Table[str, str | None] = option(
        MapOf(ALIAS, TAG, "tag"),
        "Short names for tags of devices; asset/name is then a second name of the tag.",
        example="{p: skid/pressure, q: meter/flow}",
    )
    type: str | None = option(
        NAME,
        "What kind of machine it is. The birth says so: machines of one type can be compared.",
        example="pump-40",
        unless="of no type",
    )
    derived: Table[str, Derived | None] = option(
        MapOf(ALIAS, Record(Derived), "derived tag"),
        "Values computed from others.",
        example="{power: {is: p * q / 36, unit: kW}}",
        default="{}",
    )
    watch: Watch | None = option(
        Short(choice("learned", what="kind of watch"), Watch),
        "Watch it for what is not normal.",
        example="learned",
        unless="not watched",
    )
