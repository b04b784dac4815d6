"""The names of asyncua that several modules use, from where the type checker can see them."""

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

__all__ = ["AttributeIds", "ObjectIds", "StatusCodes", "UaError", "UaStatusCodeError"]


def standard_node(number: int) -> ua.NodeId:
    """A node of namespace 0, the one that every server has."""
    return ua.NodeId(ua.Int32(number))
