"""Long lists in as few requests as the server takes: halved when it says that one is too large."""

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
        self, items: Sequence[Item], send: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]
    ) -> list[Result]:
        """Send all items part by part; the results in their order.

        Raises:
            Exception: whatever ``send`` raises, but for what smaller parts may cure.
        """
        results: list[Result] = []
        while len(results) < len(items):
            part = items[len(results) : len(results) + self.most]
            try:
                results += await send(part)
            except (ServiceFault, UaStatusCodeError) as error:
                if error.code not in TOO_LARGE or len(part) == 1:
                    raise
                self.most = (len(part) + 1) // 2
        return results
