"""Options of the alarms of a tag."""

from edgetwin.config.kinds import AMOUNT, STEP, SWITCH, TAG, TEXT, duration, whole
from edgetwin.config.option import Section, option, section
from edgetwin.core.units import Quantity


@section
class Alarm(Section):
    """An alarm, with one of above, below and is. Its name is the tag's, a point, and its own."""

    noun = "alarm"
    called = "high"

    above: Quantity | None = option(
        AMOUNT, "On while the value is higher than this.", example="8 bar", unless="see below, is"
    )
    below: Quantity | None = option(
        AMOUNT, "On while the value is lower than this.", example="0.5 bar", unless="see above, is"
    )
    is_: int | None = option(
        whole(0, 1), "On while a bit is this.", example="1", unless="see above, below"
    )
    on_delay: int = option(
        duration("0 s", "1 h"),
        "How long it must be so, without a break, before the alarm comes.",
        example="2 s",
        default="0 s",
    )
    off_delay: int = option(
        duration("0 s", "1 h"),
        "How long it must be over, without a break, before the alarm goes.",
        example="10 s",
        default="0 s",
    )
    deadband: Quantity | None = option(
        STEP,
        "How far back within the limit the value must be before the alarm goes.",
        example="0.2 bar",
        unless="any way back",
    )
    priority: int = option(whole(1, 4), "1 is the most urgent.", example="1", default="3")
    latch: bool = option(
        SWITCH,
        "Keep it until a person acknowledges it, even if it was acknowledged before it went.",
        example="true",
        default="false",
    )
    advice: str | None = option(
        TEXT, "What to do about it.", example="Close valve V7, call 4711", unless="none"
    )
    suppressed_by: str | None = option(
        TAG,
        "A tag that suppresses the alarm as long as it is not 0.",
        example="skid/maintenance",
        unless="never suppressed",
    )
