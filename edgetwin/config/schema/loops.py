"""Options of the control loops, one section for each law."""

from collections.abc import Mapping as Table

from edgetwin.config.kinds import END, FACTOR, FORMULA, NAME, SETPOINT, TAG, Hold, choice, duration
from edgetwin.config.option import MapOf, Section, option, section
from edgetwin.core.expression import Expression
from edgetwin.core.plan import Mode
from edgetwin.core.units import Quantity

LAW = choice("pid", "formula", what="law")


@section
class _Loop(Section):
    goes_on = True

    law: str = option(LAW, "How the output is computed.", example="pid")
    pv: str = option(TAG, "The tag to control.", example="pump/p")
    sp: str = option(
        SETPOINT,
        "Where the pv shall be.",
        example="4.2 bar",
    )
    mv: str = option(TAG, "The tag to write; it needs 'write:' limits.", example="pump/n")
    every: int | None = option(
        duration("1 ms", "1 h"),
        "How often it acts; not more often than its pv is read.",
        example="100 ms",
        unless="each time the pv is read",
    )
    mode: str = option(
        choice(*Mode, what="mode of a loop"),
        "off: does nothing. shadow: computes and records what it would write. auto: writes.",
        example="auto",
        default="shadow",
    )
    on_fault: Quantity | Hold = option(
        END,
        "What becomes of the output when an input is bad or stale: hold, or go to a value at the "
        "rate of the tag.",
        example="900",
        default="hold",
    )
    on_stop: Quantity | Hold = option(
        END, "What becomes of the output when edgetwin stops.", example="900", default="hold"
    )
    permissives: Table[str, Expression | None] = option(
        MapOf(NAME, FORMULA, "permissive"),
        "What must be true for the loop to write; tags as device.tag or asset.name.",
        example="{running: skid.running, wet: pump.ps > 0.2}",
        default="{}",
    )


@section
class PidLoop(_Loop):
    """A PID controller: bumpless start, no wind-up, derivative on the measurement."""

    noun = "pid loop"
    called = "pressure"

    gain: float = option(
        FACTOR,
        "Output units per unit of error; negative where more output lowers the pv.",
        example="120",
    )
    integral: int = option(
        duration("0 s", "1 d"), "The reset time; 0 s for none.", example="8 s", default="0 s"
    )
    derivative: int = option(
        duration("0 s", "1 h"), "The rate time; 0 s for none.", example="500 ms", default="0 s"
    )


@section
class FormulaLoop(_Loop):
    """The output is what an expression says: ratio, feed-forward, cascade."""

    noun = "formula loop"
    called = "ratio"

    is_: Expression = option(
        FORMULA,
        "The output, over pv, sp and tags as device.tag or asset.name.",
        example="sp * meter.flow",
    )
