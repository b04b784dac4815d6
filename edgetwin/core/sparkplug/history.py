"""Changes kept for later: the body of an outbox record, by tag name so that it outlives edits.

{"at": 1732278000123, "changes": [["skid/pressure", 1732278000120, 4.21, 192], …]}
"""

import json
from collections.abc import Iterable, Mapping

from edgetwin.core.sparkplug.catalogue import Catalogue
from edgetwin.core.sparkplug.metric import Grade
from edgetwin.core.sparkplug.report import Change


def write(changes: Iterable[Change], catalogue: Catalogue, at: int) -> bytes:
    """Changes as the body of a record."""
    rows = [[catalogue.tags[c.tag].name, c.timestamp, c.value, int(c.grade)] for c in changes]
    return json.dumps({"at": at, "changes": rows}, separators=(",", ":")).encode()


def read(body: bytes, names: Mapping[str, int]) -> tuple[tuple[Change, ...], int]:
    """The changes of a record, and how many are of tags that are no longer configured."""
    rows = json.loads(body)["changes"]
    known = tuple(
        Change(names[name], when, value, Grade(grade))
        for name, when, value, grade in rows
        if name in names
    )
    return known, len(rows) - len(known)
