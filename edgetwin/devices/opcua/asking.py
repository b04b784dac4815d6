"""Awaiting one read, for the little that is not on the hot path."""

import asyncio

from edgetwin.devices.opcua.columns import Columns
from edgetwin.devices.opcua.exchange import Reader


async def ask(reader: Reader) -> Columns:
    """Send a prepared read and wait for its columns; the lane sets the deadline.

    Raises:
        Exception: what the lane's ``Fail`` names.
    """
    answer: asyncio.Future[Columns] = asyncio.get_running_loop().create_future()

    def take(columns: Columns) -> None:
        if not answer.done():
            answer.set_result(columns)

    def fail(error: Exception) -> None:
        if not answer.done():
            answer.set_exception(error)

    reader(take, fail)
    return await answer
