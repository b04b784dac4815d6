"""Where a gateway stands in the plant: the equipment hierarchy of ISA-95 (IEC 62264-1 §5.3)."""

from edgetwin.config.option import Section, option, section
from edgetwin.config.places import LEVEL

_NOBODY = "not told; no topic may name it"


@section
class Hierarchy(Section):
    """The levels of ISA-95 above the gateway: for topics, and for what edgetwin export writes."""

    noun = "hierarchy"
    goes_on = True

    enterprise: str | None = option(LEVEL, "The company.", example="acme", unless=_NOBODY)
    site: str | None = option(LEVEL, "The place.", example="berlin", unless=_NOBODY)
    area: str | None = option(LEVEL, "The part of the site.", example="water", unless=_NOBODY)
    line: str | None = option(
        LEVEL,
        "The work center: a production line, process cell, production unit or storage zone.",
        example="filling-2",
        unless=_NOBODY,
    )
    cell: str | None = option(
        LEVEL,
        "The work unit: a work cell, unit or storage unit.",
        example="skid-7",
        unless=_NOBODY,
    )
