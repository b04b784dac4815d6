"""What variables hold: values, what this user may do with them, units, ranges, names of states."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from asyncua import ua
from asyncua.client.ua_client import UaClient

from edgetwin.devices.opcua.branch import Branch
from edgetwin.devices.opcua.columns import TYPE_NAMES
from edgetwin.devices.opcua.parts import Parts
from edgetwin.devices.opcua.stack import AttributeIds
from edgetwin.devices.opcua.states import STATES, names_of_type, states_in
from edgetwin.devices.opcua.status import words
from edgetwin.devices.opcua.survey import built_in

FACTS = frozenset({"EngineeringUnits", "EURange", *STATES})
"""The properties of a variable that are read too."""

_PART = 500
_AT_ONCE = 3
_MAY_READ, _MAY_WRITE = 0x01, 0x02
_MOST_TYPES = 1000
_ENUMERATED = frozenset({"Int32", "Int32[]"})
"""How the value of an enumeration is sent (OPC 10000-6 §5.2.4)."""


class Spot(NamedTuple):
    """A node that is looked at for a branch; ``fact`` if it is a property of it."""

    node: ua.NodeId
    branch: Branch
    fact: str = ""


async def read_contents(client: UaClient, variables: Sequence[Spot], facts: Sequence[Spot]) -> None:
    """Fill in the branches.

    Raises:
        Exception: whatever asyncua finds wrong with the connection.
    """
    look = _Look(client)
    both = await look.read(variables, AttributeIds.Value, AttributeIds.UserAccessLevel)
    for spot, (value, level) in both:
        _keep_value(spot.branch, value)
        spot.branch.access = _access(_plain(level))
    for spot, (value,) in await look.read(facts, AttributeIds.Value):
        _keep_fact(spot, _plain(value))
    enumerated = [s for s in variables if s.branch.type in _ENUMERATED and not s.branch.states]
    names: dict[ua.NodeId, Mapping[int, str]] = {}
    for spot, (value,) in await look.read(enumerated, AttributeIds.DataType):
        data_type = _plain(value)
        if not isinstance(data_type, ua.NodeId) or built_in(data_type):
            continue
        if data_type not in names and len(names) < _MOST_TYPES:
            names[data_type] = await names_of_type(client, data_type)
        spot.branch.states = names.get(data_type, {})


class _Look:
    """Reads attributes, many in one request."""

    def __init__(self, client: UaClient) -> None:
        self._client = client
        self._most = Parts(_PART)

    async def read(
        self, spots: Sequence[Spot], *attributes: AttributeIds
    ) -> list[tuple[Spot, Sequence[ua.DataValue]]]:
        """These attributes of each."""
        n = len(attributes)
        asked = [ua.ReadValueId(spot.node, each) for spot in spots for each in attributes]
        given = await self._most.ask(asked, self._ask, _AT_ONCE)
        return [(spot, given[k * n : k * n + n]) for k, spot in enumerate(spots)]

    async def _ask(self, asked: Sequence[ua.ReadValueId]) -> list[ua.DataValue]:
        return await self._client.read(ua.ReadParameters(NodesToRead=list(asked)))


def _plain(value: ua.DataValue) -> Any:  # noqa: ANN401 (whatever the server holds there)
    return value.Value.Value if value.Value else None


def _keep_value(branch: Branch, value: ua.DataValue) -> None:
    code = value.StatusCode.value if value.StatusCode else 0
    if code >> 30 > 1 or value.Value is None:
        branch.trouble = words(code).partition(":")[0] if code else "no value"
        return
    kind = int(value.Value.VariantType.value)
    name = TYPE_NAMES[kind] if kind < len(TYPE_NAMES) else "?"
    branch.type = f"{name}[]" if value.Value.is_array else name
    branch.value = _readable(value.Value.Value)


def _readable(value: Any) -> object:  # noqa: ANN401 (by type)
    """A value as people know it, and without asyncua's types."""
    if isinstance(value, list):
        return [_readable(each) for each in value]
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    for part in ("Text", "Name"):
        if hasattr(value, part):
            return getattr(value, part)
    return str(value)


def _access(level: object) -> str:
    """What this user may do (OPC 10000-3 §8.57)."""
    if not isinstance(level, int):
        return "?"
    may = [word for bit, word in ((_MAY_READ, "read"), (_MAY_WRITE, "write")) if level & bit]
    return " ".join(may) or "none"


def _keep_fact(spot: Spot, value: object) -> None:
    if isinstance(value, ua.EUInformation) and spot.fact == "EngineeringUnits":
        spot.branch.unit = value.DisplayName.Text or ""
    elif isinstance(value, ua.Range) and spot.fact == "EURange" and value.Low < value.High:
        spot.branch.span = (value.Low, value.High)
    elif spot.fact in STATES:
        spot.branch.states = {**spot.branch.states, **states_in(spot.fact, value)}
