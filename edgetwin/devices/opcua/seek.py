"""Tags whose node is not there are looked for again, as often as a lost device is tried."""

from collections.abc import Mapping, Sequence
from itertools import chain

from edgetwin.devices.opcua.catalogue import Catalogue
from edgetwin.devices.opcua.exchange import Lane
from edgetwin.devices.opcua.parts import Parts
from edgetwin.devices.opcua.polling import Delivery, PolledGroup
from edgetwin.devices.opcua.subscription import SubscribedGroup
from edgetwin.devices.opcua.survey import Node

Groups = Mapping[int, Sequence[PolledGroup | SubscribedGroup]]


class Seeker:
    """Finds nodes that come late, or come back under another id, and has their groups take them."""

    def __init__(
        self, known: Catalogue, lane: Lane, most: Parts, groups: Groups, deliver: Delivery
    ) -> None:
        self._known = known
        self._lane = lane
        self._most = most
        self._groups = groups
        self._deliver = deliver
        self._last = deliver.mark()

    def is_due(self, every: int) -> bool:
        """Whether something is missing, and was not looked for in the last ``every`` ns."""
        lost = self._known.missing or self._deliver.gone
        return bool(lost) and self._deliver.mark() - self._last >= every

    async def seek(self) -> list[Node]:
        """Look for all that is missing; what was found.

        Raises:
            Exception: whatever asyncua or the lane finds wrong with the connection.
        """
        self._last = self._deliver.mark()
        lost = sorted(self._known.missing.keys() | self._deliver.gone)
        found = await self._known.find_again(lost, self._lane, self._most)
        arrays = self._deliver.batches.arrays
        self._deliver.gone.difference_update(arrays.all_of(node.tag for node in found))
        for group in chain.from_iterable(self._groups.values()):
            if mine := [node for node in found if node.tag in group.tags]:
                await group.add(mine)
        return found
