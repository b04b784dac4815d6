"""The monitored items of one subscription: what is reported, how often, and from which change on.

The sampling interval and queue size are said outright (OPC 10000-4 §7.21): 0 would mean "as fast as
you can", and a longer queue would bring values that are old. The deadband is kept by the server.
"""

from collections.abc import Sequence

from asyncua import ua
from asyncua.client.ua_client import UaClient

from edgetwin.core.tags import TagTable
from edgetwin.devices.opcua.deadband import bands_of, told
from edgetwin.devices.opcua.parts import Parts
from edgetwin.devices.opcua.stack import AttributeIds, StatusCodes
from edgetwin.devices.opcua.survey import Node

_AT_ONCE = 2
"""Calls that are out together: one is taken apart while the server works on the next."""
_NO_FILTER = frozenset(
    {
        StatusCodes.BadFilterNotAllowed,
        StatusCodes.BadMonitoredItemFilterUnsupported,
        StatusCodes.BadMonitoredItemFilterInvalid,
        StatusCodes.BadDeadbandFilterInvalid,
    }
)


class Items:
    """Those of one subscription, by tag. Client handles are twin indices.

    ``sampling_ms`` is how often the server looks at the one it looks at most rarely. ``bands`` are
    the deadbands, in the device's own numbers.
    """

    def __init__(
        self, client: UaClient, number: int, interval_ms: float, most: Parts, tags: TagTable
    ) -> None:
        self.unfiltered: set[int] = set()
        self.bands: dict[int, float] = {}
        self.sampling_ms = interval_ms
        self._client = client
        self._number = number
        self._interval_ms = interval_ms
        self._most = most
        self._tags = tags
        self._ids: dict[int, int] = {}

    async def create(self, nodes: Sequence[Node]) -> dict[int, int]:
        """Monitor these, in place of what their tags had; StatusCodes by tag of what is refused.

        Where the server keeps no deadband, each change is reported; ``unfiltered`` tells of which.
        """
        await self._delete([node.tag for node in nodes])
        self.bands |= await bands_of(self._client, nodes, self._tags)
        ordered = sorted(nodes, key=lambda node: (node.kind, node.tag))
        refused = await self._create(ordered)
        if again := [n for n in ordered if refused.get(n.tag) in _NO_FILTER]:
            self.unfiltered |= {node.tag for node in again}
            refused = {t: code for t, code in refused.items() if t not in self.unfiltered}
            refused |= await self._create(again)
        return refused

    async def _create(self, nodes: Sequence[Node]) -> dict[int, int]:
        refused: dict[int, int] = {}
        results = await self._most.ask(nodes, self._ask, _AT_ONCE)
        for node, result in zip(nodes, results, strict=True):
            if result.StatusCode.is_good():
                self._ids[node.tag] = result.MonitoredItemId
                self.sampling_ms = max(self.sampling_ms, result.RevisedSamplingInterval)
            else:
                refused[node.tag] = result.StatusCode.value
        return refused

    async def _ask(self, nodes: Sequence[Node]) -> list[ua.MonitoredItemCreateResult]:
        asked = ua.CreateMonitoredItemsParameters(self._number, ua.TimestampsToReturn.Source)
        asked.ItemsToCreate = [self._item(node) for node in nodes]
        return await self._client.create_monitored_items(asked)

    def _item(self, node: Node) -> ua.MonitoredItemCreateRequest:
        wanted = ua.MonitoringParameters(
            ClientHandle=node.tag,
            SamplingInterval=self._interval_ms,
            QueueSize=1,
            DiscardOldest=True,
        )
        if node.tag not in self.unfiltered:
            wanted.Filter = told(self.bands.get(node.tag, 0.0))
        part = node.place.part or None
        return ua.MonitoredItemCreateRequest(
            ItemToMonitor=ua.ReadValueId(node.place.node, AttributeIds.Value, part),
            MonitoringMode=ua.MonitoringMode.Reporting,
            RequestedParameters=wanted,
        )

    async def _delete(self, tags: Sequence[int]) -> None:
        """An item whose node comes back must not speak beside the new one."""
        old = [self._ids.pop(tag) for tag in tags if tag in self._ids]
        if old:
            asked = ua.DeleteMonitoredItemsParameters(self._number, old)
            await self._client.delete_monitored_items(asked)
