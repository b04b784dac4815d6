"""Methods as the way to hand a setpoint over: which node they are, and what they take."""

from dataclasses import dataclass

from asyncua import ua
from asyncua.client.ua_client import UaClient

from edgetwin.core.nodes import MethodAddress
from edgetwin.core.tags import Tag
from edgetwin.devices.opcua.resolve import Spaces, resolve, way_down
from edgetwin.devices.opcua.stack import AttributeIds
from edgetwin.devices.opcua.survey import built_in

_ARGUMENTS = ua.QualifiedName("InputArguments", 0)


@dataclass(frozen=True, slots=True)
class Method:
    """A method of an object in this session, and the built-in type of its one argument."""

    owner: ua.NodeId
    method: ua.NodeId
    kind: int


async def find_methods(
    client: UaClient, tags: list[Tag], spaces: Spaces
) -> tuple[dict[int, Method], dict[int, str]]:
    """The methods of those tags that have one, and what is wrong with the others."""
    named = {tag.index: tag.method for tag in tags if isinstance(tag.method, MethodAddress)}
    owners, alone = await resolve(client, {t: n.owner for t, n in named.items()}, spaces)
    methods, missing = await resolve(client, {t: n.method for t, n in named.items()}, spaces)
    odd = {tag: f"its method: {why}" for tag, why in (alone | missing).items()}
    known = [tag for tag in named if tag not in odd]
    found: dict[int, Method] = {}
    for tag in known:
        kind, why = await _argument(client, methods[tag])
        if why:
            odd[tag] = f"its method: {why}"
        else:
            found[tag] = Method(owners[tag], methods[tag], kind)
    return found, odd


async def _argument(client: UaClient, method: ua.NodeId) -> tuple[int, str]:
    """The built-in type of the only input argument, or why it can not be called with one number."""
    executable, *_ = await client.read_attributes([method], AttributeIds.UserExecutable)
    if not (executable.Value and executable.Value.Value):
        return 0, "it can not be called by this user, or is no method"
    paths = await client.translate_browsepaths_to_nodeids([way_down(method, [_ARGUMENTS])])
    if not paths[0].Targets:
        return 0, "it takes no argument"
    value, *_ = await client.read_attributes([paths[0].Targets[0].TargetId], AttributeIds.Value)
    arguments = value.Value.Value if value.Value else None
    if not isinstance(arguments, list) or len(arguments) != 1:
        n = len(arguments) if isinstance(arguments, list) else 0
        return 0, f"it takes {n} arguments, and can be given only one"
    kind = built_in(arguments[0].DataType)
    return kind, "" if kind else "its argument is of a type that is no number"
