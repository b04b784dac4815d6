"""The nodes of one broker: which is tried when, and what is told when none can be had."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from edgetwin.core.plan import MqttSettings
from edgetwin.upstream.mqtt_refusal import LinkLost, Refused


class Cluster:
    """The addresses of one broker, in the order in which they stand in the configuration.

    Who loses the line begins with the node that was good last (most lines are cut, not brokers),
    and goes on from there in a circle: all nodes are tried before anybody pauses.
    """

    def __init__(self, settings: MqttSettings) -> None:
        places = ((settings.host, settings.port), *settings.others)
        self._nodes = [replace(settings, host=h, port=p, others=()) for h, p in places]
        self._good = 0

    @property
    def good(self) -> MqttSettings:
        """The node that was reached last; before that the first."""
        return self._nodes[self._good]

    def in_turn(self) -> Iterator[MqttSettings]:
        """Each node once, the last good one first. Who stops here was given a good one."""
        first = self._good
        for step in range(len(self._nodes)):
            self._good = (first + step) % len(self._nodes)
            yield self.good
        self._good = first


def none_left(whys: Sequence[LinkLost]) -> LinkLost:
    """Why no node could be had: a refusal only if all refuse, for then waiting is of no use."""
    if len(whys) == 1:
        return whys[0]
    text = "; ".join(str(why).rstrip(".") for why in whys)
    return Refused(text) if all(isinstance(why, Refused) for why in whys) else LinkLost(text)
