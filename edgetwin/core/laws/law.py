"""The seam every control law is behind: frozen settings, state handed in and out, no clock."""

from typing import NamedTuple, Protocol


class Sample(NamedTuple):
    """What a law sees in one step.

    ``dt`` is in seconds since its last step; ``inputs`` are its other tags.
    """

    pv: float
    sp: float
    dt: float
    inputs: tuple[float, ...] = ()


class Band(NamedTuple):
    """Where the output may go in this step: limits and rate, so that a law can stop winding up."""

    low: float
    high: float


class Step(NamedTuple):
    """The output a law wants, inside the band, and its state for the next step."""

    mv: float
    state: object


class Law(Protocol):
    """An algorithm with its settings. Frozen; the same arguments always give the same step."""

    def start(self, sample: Sample, mv: float) -> object:
        """The state from which the next step continues at ``mv`` without a bump."""

    def step(self, state: object, sample: Sample, band: Band) -> Step:
        """One step of the law."""
