"""Long lists in as few requests as the server takes: halved when it says that one is too large."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from edgetwin.devices.opcua.exchange import ServiceFault
from edgetwin.devices.opcua.stack import StatusCodes, UaStatusCodeError

TOO_LARGE = frozenset(
    {
        StatusCodes.BadTooManyOperations,
        StatusCodes.BadRequestTooLarge,
        StatusCodes.BadResponseTooLarge,
        StatusCodes.BadEncodingLimitsExceeded,
    }
)
Item = TypeVar("Item")
Result = TypeVar("Result")


class Parts:
    """``most`` items in one request; less, once the server has said so."""

    def __init__(self, most: int) -> None:
        self.most = max(1, most)

    async def ask(
        self,
        items: Sequence[Item],
        send: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        at_once: int = 1,
    ) -> list[Result]:
        """Send all items part by part, ``at_once`` of them out together; results in their order.

        Raises:
            Exception: whatever ``send`` raises, but for what smaller parts may cure.
        """
        results: list[Result] = []
        out: deque[asyncio.Task[list[Result]]] = deque()
        try:
            for part in slices(items, self.most):
                if len(out) == at_once:
                    results += await out.popleft()
                out.append(asyncio.create_task(self._one(part, send), name="opcua part"))
            while out:
                results += await out.popleft()
        finally:
            for task in out:
                task.cancel()
            await asyncio.gather(*out, return_exceptions=True)
        return results

    async def _one(
        self, items: Sequence[Item], send: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]
    ) -> list[Result]:
        """What was one request when it was planned; more, if less is taken by now."""
        results: list[Result] = []
        while len(results) < len(items):
            part = items[len(results) : len(results) + self.most]
            try:
                results += await send(part)
            except (ServiceFault, UaStatusCodeError) as error:
                if error.code not in TOO_LARGE or len(part) == 1:
                    raise
                self.most = min(self.most, (len(part) + 1) // 2)
        return results


def slices(items: Sequence[Item], most: int) -> list[Sequence[Item]]:
    """Parts of at most ``most`` items."""
    return [items[start : start + most] for start in range(0, len(items), most)]
