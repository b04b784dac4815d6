"""Options of the classes of tags: how they are told upstream."""

from edgetwin.config.kinds import DEADBAND, Share, choice, duration
from edgetwin.config.option import Record, Section, option, section
from edgetwin.core.tags import ReportBy
from edgetwin.core.units import Quantity


@section
class Report(Section):
    """Points instead of every value, by which a subscriber knows each value within a bound."""

    noun = "report"

    within: Quantity | Share = option(
        DEADBAND,
        "How far a value may be from what the points tell. Bits and texts: any change is told.",
        example="0.5 % of range",
    )
    by: str = option(
        choice(*ReportBy, what="way to report"),
        "step: a point holds until the next, and goes out when a value is too far from it. line: "
        "straight from point to point (swinging door), fewer points, each a reading later.",
        example="line",
        default="step",
    )
    heartbeat: int = option(
        duration("1 s", "1 d"),
        "After so long there is another point though nothing is new, while the tag is measured.",
        example="10 min",
        default="1 min",
    )


@section
class TagClass(Section):
    """How the tags that name it by ``class:`` are told upstream.

    The class ``default`` holds for all tags that name none.
    """

    noun = "class"
    called = "slow"

    window: int | None = option(
        duration("100 ms", "1 d"),
        "The span of time that one summary of these tags tells of.",
        example="1 min",
        unless="the upstream's window; with a report, no summary",
    )
    report: Report | None = option(
        Record(Report),
        "Tell them by exception.",
        example="{within: 0.5 % of range, by: line}",
        unless="no report",
    )
