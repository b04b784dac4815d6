"""How fast the story goes. One knob: how long it shall take."""

from dataclasses import dataclass

USUAL_S = 90.0
FAST_S = 36.0
LONGEST_S = 3600.0


@dataclass(frozen=True, slots=True)
class Pace:
    """``speed`` is how much faster than life the plant runs; ``extra_s`` is time to look longer."""

    speed: float
    extra_s: float

    @classmethod
    def within(cls, seconds: float) -> "Pace":
        """A story of about so many seconds. Below 90 s the plant, and all that watches it, hurries.

        Raises:
            ValueError: shorter than 36 s, or longer than an hour.
        """
        if not FAST_S <= seconds <= LONGEST_S:
            raise ValueError(f"the story takes {FAST_S:g} to {LONGEST_S:g} seconds")
        return cls(max(1.0, USUAL_S / seconds), max(0.0, seconds - USUAL_S))

    def lasts(self, seconds: float) -> float:
        """How long something takes that takes ``seconds`` in the usual story."""
        return seconds / self.speed

    def period(self, milliseconds: int) -> str:
        """A period of the usual story as the configuration writes it."""
        return f"{round(milliseconds / self.speed)} ms"
