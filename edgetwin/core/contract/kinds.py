"""All kinds of messages of this version of the contract."""

from collections.abc import Mapping

from edgetwin.core.contract.heard import ACCEPT, RANGES, REPLY, REQUEST
from edgetwin.core.contract.message import Message
from edgetwin.core.contract.records import CAPTURE, CLOSED, EVENT, GAP, REPORT, SUMMARY, VALUES
from edgetwin.core.contract.retained import BIRTH_MESSAGE, STATUS

MESSAGES: Mapping[str, Message] = {
    each.suffix: each
    for each in (
        BIRTH_MESSAGE,
        STATUS,
        SUMMARY,
        REPORT,
        EVENT,
        CAPTURE,
        VALUES,
        GAP,
        CLOSED,
        ACCEPT,
        REQUEST,
        REPLY,
        RANGES,
    )
}
"""By the last level of their topic."""
