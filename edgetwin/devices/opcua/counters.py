"""What a driver counts instead of logging it again and again."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """What one device's lane has seen since the start.

    ``bad_replies`` were damaged, ``exceptions`` are requests that the server refused as a whole.
    """

    requests: int = 0
    timeouts: int = 0
    overruns: int = 0
    bad_replies: int = 0
    exceptions: int = 0
