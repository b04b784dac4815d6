"""The PID law, in the form most manuals print (ISA, "standard").

    mv = gain * (e + (integral of e) / integral_s - derivative_s * d(pv)/dt),   e = sp - pv

Theory of operation; the ideas are textbook ones (K. J. Astrom, T. Hagglund: Advanced PID Control,
ISA 2006, the chapters on windup, mode switches and digital implementation).

Sign       A positive gain raises mv while pv is below sp, a negative one lowers it (cooling).
P          Acts on the whole error, at once.
I          Summed up in units of mv, so that a change of gain or time does not move the output. A
           step that would push the output out of the band goes just up to its edge (conditional
           integration), and while the output stands at a limit the sum is not left beyond it. So
           the output comes off a limit with the first step in which the error has changed sign.
           The sum is not forced to agree with a limited output in every step (back-calculation):
           the band is mostly the narrow one of a rate limit, and a proportional kick would then be
           forgotten instead of caught up with.
D          Of the measurement only: a new setpoint gives no kick. Its noise is filtered by a lag of
           derivative_s / filter_n, computed backwards (implicit Euler): stable for every dt.
Start      The sum is set to what makes the present output come out: no bump.
No number  A sample that is none, or a dt that is no time, changes nothing: the output stays.
"""

import math
from dataclasses import dataclass, replace

from edgetwin.core.laws.law import Band, Sample, Step


@dataclass(frozen=True, slots=True)
class PidState:
    """``integral`` and ``derivative`` in units of mv; the pv and mv of the last step."""

    integral: float
    derivative: float
    pv: float
    mv: float


@dataclass(frozen=True, slots=True)
class Pid:
    """Gain in units of mv per unit of pv; times in seconds, 0 switches the term off.

    Raises:
        ValueError: a setting no loop can work with; the message names it.
    """

    gain: float
    integral_s: float = 0.0
    derivative_s: float = 0.0
    filter_n: float = 8.0

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        if not math.isfinite(self.gain) or self.gain == 0.0:
            raise ValueError("gain must be a number other than 0: units of mv per unit of pv")
        for name in ("integral_s", "derivative_s"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be 0 (off) or a number of seconds above it")
        if not 1.0 <= self.filter_n <= 1000.0:
            raise ValueError("filter_n must be 1 to 1000; 8 is usual")

    def start(self, sample: Sample, mv: float) -> PidState:
        """The state from which the next step continues at ``mv``."""
        integral = mv - self.gain * (sample.sp - sample.pv)
        return PidState(integral if math.isfinite(integral) else mv, 0.0, sample.pv, mv)

    def step(self, state: object, sample: Sample, band: Band) -> Step:
        """One step; ``state`` is what ``start`` or the last step gave."""
        if not isinstance(state, PidState):
            raise TypeError(f"a Pid continues from a PidState, not from {type(state).__name__}")
        if not _usable(sample):
            return _held(state, band)
        proportional = self.gain * (sample.sp - sample.pv)
        derivative = self._derivative(state, sample)
        direct = proportional + derivative
        integral = self._integral(state, direct, sample, band)
        wanted = direct + integral
        if not math.isfinite(wanted):
            return _held(state, band)
        mv = min(max(wanted, band.low), band.high)
        return Step(mv, PidState(integral, derivative, sample.pv, mv))

    def _derivative(self, state: PidState, sample: Sample) -> float:
        if self.derivative_s == 0.0 or not math.isfinite(state.pv):
            return 0.0
        lag = self.derivative_s + self.filter_n * sample.dt
        rise = sample.pv - state.pv
        return self.derivative_s / lag * (state.derivative - self.gain * self.filter_n * rise)

    def _integral(self, state: PidState, direct: float, sample: Sample, band: Band) -> float:
        if self.integral_s == 0.0:
            return state.integral
        step = self.gain * sample.dt / self.integral_s * (sample.sp - sample.pv)
        if step > 0.0:
            return _raised(state.integral, step, band.high - direct, band.high, state.mv)
        return -_raised(-state.integral, -step, direct - band.low, -band.low, -state.mv)


def _raised(before: float, step: float, room: float, edge: float, mv: float) -> float:
    """The sum after a step up. At ``room`` the output meets the band's upper ``edge``.

    An output that stands at the edge already stands at a limit, not at a rate (that leaves room).
    """
    if mv >= edge:
        before = min(before, max(edge, room))
    return max(before, min(before + step, room))


def _usable(sample: Sample) -> bool:
    return math.isfinite(sample.pv) and math.isfinite(sample.sp) and 0.0 < sample.dt < math.inf


def _held(state: PidState, band: Band) -> Step:
    mv = min(max(state.mv, band.low), band.high)
    return Step(mv, replace(state, mv=mv))
