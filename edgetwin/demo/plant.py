"""A pump skid as physics: no clock, no I/O; time comes as ``dt``, chance as a seeded generator.

    suction tank ──▶ pump ──▶ filter ──▶ discharge valve ──▶ pipe ──▶ elevated tank
       p_tank     speed n      k_filter     Kv(position)       k_pipe    p_static

Pump (affinity laws): shut-off pressure grows with n², and the curve falls with Q². Everything
behind the pump takes k·Q² and the height of the elevated tank. So the working point, where the
curves meet, has a closed form:

    p_tank + A·(n/n₀)² - (a + k_suction)·Q²  =  p_static + (k_filter + k_pipe + 1/Kv²)·Q²

The discharge pressure is measured right behind the pump, so a clog downstream shows as more
pressure and less flow at the same speed and the same valve position: nothing else explains it.

Two hands move the skid. The valve follows a demand that wanders by itself. The speed follows the
setpoint register; until somebody writes that register, the skid's own PLC does it with a pressure
switch, as such skids do: crude, and therefore a wide range of normal states to learn from.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

SPEED_LOW, SPEED_HIGH = 600.0, 1750.0
"""What the drive accepts as a setpoint, 1/min."""

RATED_SPEED = 1450.0


class Fault(StrEnum):
    """What can be done to the skid while it runs."""

    CLOG = "clog"
    FREEZE = "freeze"
    HEAL = "heal"


@dataclass(frozen=True, slots=True)
class Hydraulics:
    """Pressures in bar over atmosphere, resistances in bar/(m³/h)²."""

    shut_off: float = 7.0
    droop: float = 0.0058
    tank: float = 0.35
    suction: float = 0.0007
    static: float = 0.8
    filter: float = 0.003
    pipe: float = 0.003
    kv_open: float = 35.0
    kv_range: float = 30.0

    def kv(self, position: float) -> float:
        """Flow coefficient at a position in %, equal-percentage trim (IEC 60534-2-4), m³/h/√bar."""
        return float(self.kv_open * self.kv_range ** (position / 100.0 - 1.0))

    def working_point(
        self, speed: float, position: float, clog: float
    ) -> tuple[float, float, float]:
        """Flow m³/h, discharge and suction pressure bar.

        ``speed`` in 1/min, ``position`` in %; ``clog`` adds that many clean filters.
        """
        lift = self.shut_off * (speed / RATED_SPEED) ** 2
        behind = self.filter * (1.0 + clog) + self.pipe + self.kv(position) ** -2
        head = self.tank + lift - self.static
        square = max(0.0, head) / (self.droop + self.suction + behind)
        suction = self.tank - self.suction * square
        return math.sqrt(square), suction + lift - self.droop * square, suction


@dataclass(frozen=True, slots=True)
class Sensors:
    """What the skid and its meter show. Standard deviations of their noise: ``NOISE``."""

    discharge_pressure: float
    suction_pressure: float
    motor_current: float
    valve_position: float
    running: bool
    speed_setpoint: float
    flow: float
    temperature: float
    vibration: float


NOISE = {
    "discharge_pressure": 0.006,
    "suction_pressure": 0.002,
    "motor_current": 0.015,
    "valve_position": 0.05,
    "flow": 0.05,
    "temperature": 0.1,
    "vibration": 0.06,
}
"""Standard deviations, in the unit of each sensor: 0.1 to 1 % of span, as of good transmitters."""

SPEED_LAG_S = 0.5
RAMP_PER_S = 400.0  # 1/min per second: the drive's own ramp
CLOG_S = 4.0  # how long dirt takes to settle
CLOG_FULL = 12.0  # the filter's resistance when it has: 13 times the clean one
HEAT_S = 300.0
AIR = ((0.6, 7.7), (0.3, 12.1))  # degC, s: the fans of the hall blow at the casing in turn
FLOOR = ((0.08, 5.9), (0.05, 10.3))  # mm/s, s: what other machines send through the floor


@dataclass(slots=True)
class Demand:
    """The valve position that the consumers ask for: three slow waves of different periods."""

    mean: float = 55.0
    waves: tuple[tuple[float, float], ...] = ((2.5, 6.3), (2.0, 9.7), (1.5, 17.0))  # %, s
    phases: list[float] = field(default_factory=list)

    def at(self, seconds: float) -> float:
        """Position in % at a time since the start."""
        return self.mean + _waves(self.waves, self.phases, seconds)


def _waves(
    waves: tuple[tuple[float, float], ...], phases: Sequence[float], seconds: float
) -> float:
    """The sum of sines, each of a size and a period in s."""
    return sum(
        size * math.sin(2 * math.pi * seconds / period + phase)
        for (size, period), phase in zip(waves, phases, strict=True)
    )


@dataclass(slots=True)
class PressureSwitch:
    """The skid's own control: slower above ``high`` bar, faster below ``low``."""

    low: float = 4.05
    high: float = 4.35
    slope: float = 25.0  # 1/min per second
    direction: float = 0.0

    def step(self, setpoint: float, pressure: float, dt: float) -> float:
        """The next speed setpoint."""
        if pressure < self.low:
            self.direction = 1.0
        elif pressure > self.high:
            self.direction = -1.0
        elif self.low + 0.1 < pressure < self.high - 0.1:
            self.direction = 0.0
        return min(1350.0, max(1050.0, setpoint + self.direction * self.slope * dt))


class Plant:
    """One pump skid. ``step`` it; ``sensors`` is what its instruments show since the last step."""

    def __init__(self, seed: int = 1, hydraulics: Hydraulics | None = None) -> None:
        """Start in the steady state of 1200 1/min. The same ``seed`` gives the same day again."""
        self._chance = np.random.default_rng(seed)
        self._hydraulics = hydraulics or Hydraulics()
        self._demand = Demand(phases=list(self._chance.uniform(0.0, 2 * math.pi, 3)))
        self._switch: PressureSwitch | None = PressureSwitch()
        self._seconds = 0.0
        self._setpoint = self._speed = 1200.0
        self._dirt = 0.0
        self._clogging = False
        self._frozen: float | None = None
        self._temperature = self._heat(*self._flow_and_pressures())
        self.sensors = self._measure()

    @property
    def speed(self) -> float:
        """True speed of the shaft, 1/min."""
        return self._speed

    def command(self, setpoint: float) -> bool:
        """Take a speed setpoint from outside; from now on the pressure switch is out.

        False: the drive refuses it.
        """
        if not SPEED_LOW <= setpoint <= SPEED_HIGH:  # false for NaN too
            return False
        self._switch = None
        self._setpoint = setpoint
        self.sensors = replace(self.sensors, speed_setpoint=setpoint)
        return True

    def suffer(self, fault: Fault) -> None:
        """Clog the filter, freeze the pressure sensor, or make everything whole again."""
        if fault is Fault.CLOG:
            self._clogging = True
        elif fault is Fault.FREEZE:
            self._frozen = self.sensors.discharge_pressure
        else:
            self._clogging, self._frozen = False, None

    def step(self, dt: float) -> Sensors:
        """Let ``dt`` seconds pass."""
        self._seconds += dt
        target = CLOG_FULL if self._clogging else 0.0
        self._dirt += (target - self._dirt) * -math.expm1(-dt / CLOG_S)
        if self._switch:
            pressure = self.sensors.discharge_pressure
            self._setpoint = self._switch.step(self._setpoint, pressure, dt)
        wanted = (self._setpoint - self._speed) * -math.expm1(-dt / SPEED_LAG_S)
        self._speed += min(RAMP_PER_S * dt, max(-RAMP_PER_S * dt, wanted))
        heat = self._heat(*self._flow_and_pressures())
        self._temperature += (heat - self._temperature) * -math.expm1(-dt / HEAT_S)
        self.sensors = self._measure()
        return self.sensors

    def _position(self) -> float:
        return self._demand.at(self._seconds)

    def _flow_and_pressures(self) -> tuple[float, float, float]:
        return self._hydraulics.working_point(self._speed, self._position(), self._dirt)

    def _shaft_power(self, flow: float, discharge: float, suction: float) -> float:
        """kW: hydraulic power (bar·m³/h / 36) over the efficiency, plus friction and fan."""
        relative = self._speed / RATED_SPEED
        best = 16.0 * relative  # m³/h: the best point moves with the speed
        efficiency = 0.72 - 0.35 * ((flow - best) / best) ** 2
        return (discharge - suction) * flow / 36.0 / max(0.2, efficiency) + 0.25 * relative**3

    def _heat(self, flow: float, discharge: float, suction: float) -> float:
        """°C the casing would reach in the end: losses heat it, the flow carries heat off."""
        loss = self._shaft_power(flow, discharge, suction) - (discharge - suction) * flow / 36.0
        return 22.0 + 200.0 * loss / (8.0 + flow)

    def _measure(self) -> Sensors:
        flow, discharge, suction = self._flow_and_pressures()
        power = self._shaft_power(flow, discharge, suction)
        volts = 400.0 * min(1.0, self._speed / RATED_SPEED)  # the drive keeps V/f constant
        truth = {
            "discharge_pressure": discharge,
            "suction_pressure": suction,
            "motor_current": math.hypot(power * 1000.0 / (math.sqrt(3) * volts * 0.9), 1.4),
            "valve_position": self._position(),
            "flow": flow,
            "temperature": self._temperature + _waves(AIR, (0.0, 0.0), self._seconds),
            "vibration": self._vibration(flow),
        }
        noise = self._chance.standard_normal(len(truth))
        shown = {
            name: value + NOISE[name] * float(chance)
            for (name, value), chance in zip(truth.items(), noise, strict=True)
        }
        if self._frozen is not None:
            shown["discharge_pressure"] = self._frozen
        return Sensors(running=self._speed > 50.0, speed_setpoint=self._setpoint, **shown)

    def _vibration(self, flow: float) -> float:
        """mm/s: imbalance grows with speed², and far below the best flow the water beats."""
        relative = self._speed / RATED_SPEED
        off_best = max(0.0, 1.0 - flow / (16.0 * relative)) ** 2
        return 1.6 * relative**2 + 1.5 * off_best + _waves(FLOOR, (0.0, 0.0), self._seconds)
