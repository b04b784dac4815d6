"""Which lane: the fast one if it reads this server exactly as asyncua does, else the stock one."""

import asyncio
from collections.abc import Callable, Sequence

import numpy as np
from asyncua import ua
from asyncua.client.ua_client import UaClient
from asyncua.ua.ua_binary import struct_from_binary

from edgetwin.core.reading import Instant
from edgetwin.core.slices import finish
from edgetwin.devices.opcua.bounds import Meter
from edgetwin.devices.opcua.columns import Columns
from edgetwin.devices.opcua.exchange import Lane, Place, ServiceFault
from edgetwin.devices.opcua.lane import FastLane
from edgetwin.devices.opcua.replies import read_reply
from edgetwin.devices.opcua.skip import WireError
from edgetwin.devices.opcua.stack import ObjectIds, UaError, standard_node
from edgetwin.devices.opcua.stock import StockLane, columns_of

_SAMPLE = 64
_ALWAYS = tuple(
    Place(standard_node(number))
    for number in (
        ObjectIds.Server_NamespaceArray,  # an array of texts
        ObjectIds.Server_ServerStatus,  # a structure
        ObjectIds.Server_ServerStatus_State,  # an enumeration
        ObjectIds.Server_ServerStatus_CurrentTime,  # a DateTime
        ObjectIds.Server_ServiceLevel,  # a Byte
    )
)


async def choose_lane(
    client: UaClient, timeout_s: float, now: Callable[[], Instant], places: Sequence[Place]
) -> tuple[Lane, str]:
    """The lane for this session, and why it is not the fast one ("": it is)."""
    stock = StockLane(client, timeout_s, now)
    if not FastLane.fits(client):
        return stock, "this version of asyncua is not the one it is made for"
    fast = FastLane(client, timeout_s, now)
    sample = [*_ALWAYS, *places[:: len(places) // _SAMPLE + 1]]
    try:
        reply = await _raw_read(fast, sample)
        ours = finish(read_reply(reply, len(sample)))
        theirs = columns_of(struct_from_binary(ua.ReadResponse, Meter(reply)).Results, len(sample))
    except (WireError, ServiceFault, UaError) as error:
        fast.close()
        return stock, f"a first read failed: {error}"
    if place := differs(ours, theirs):
        fast.close()
        return stock, f"it reads {sample[place - 1].node} differently than asyncua does"
    return fast, ""


async def _raw_read(lane: FastLane, places: Sequence[Place]) -> bytes:
    answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def take(reply: bytes) -> None:
        if not answer.done():
            answer.set_result(reply)

    def fail(error: Exception) -> None:
        if not answer.done():
            answer.set_exception(error)

    lane.raw_read(places, take, fail)
    return await answer


def differs(ours: Columns, theirs: Columns) -> int:
    """The number (from 1) of the first reading that two decoders see differently, 0 if none.

    Asyncua's times end at the microsecond, and it knows no type for a missing value.
    """
    same = (ours.values == theirs.values) | (np.isnan(ours.values) & np.isnan(theirs.values))
    same &= ours.status == theirs.status
    same &= ours.ticks // 10 == theirs.ticks // 10
    same &= ours.types & 0xBF == theirs.types
    exact, others = dict(ours.objects), dict(theirs.objects)
    for place in exact.keys() | others.keys():
        same[place] &= str(exact.get(place)) == str(others.get(place))  # as no NaN is another
    return 0 if same.all() else int(np.argmin(same)) + 1
