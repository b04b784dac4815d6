"""Awaiting one read, for the little that is not on the hot path."""

import asyncio

from edgetwin.devices.opcua.columns import Columns
from edgetwin.devices.opcua.exchange import Reader


async def ask(reader: Reader, asked: int) -> list[Columns]:
    """Send a prepared read of so many places and wait for all its parts.

    The lane sets the deadline.

    Raises:
        Exception: what the lane's ``Fail`` names.
    """
    answer: asyncio.Future[list[Columns]] = asyncio.get_running_loop().create_future()
    parts: list[Columns] = []

    def take(columns: Columns, first: int) -> None:
        parts.append(columns)
        if first + len(columns.values) == asked and not answer.done():
            answer.set_result(parts)

    def fail(error: Exception) -> None:
        if not answer.done():
            answer.set_exception(error)

    reader(take, fail)
    return await answer
