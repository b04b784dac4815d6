"""Units as the standards name them; what is not in the table goes on as its owner wrote it.

QUDT (qudt.org/vocab/unit), UCUM (case sensitive), and the quantitative types that DTDL v3 has in an
extension (dtmi:dtdl:extension:quantitativeTypes;1): the kind of quantity and the unit.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """One unit. ``kind`` and ``dtdl`` are empty where DTDL has no word for it."""

    qudt: str
    ucum: str
    kind: str = ""
    dtdl: str = ""


_DEGREES = Measure("DEG_C", "Cel", "Temperature", "degreeCelsius")
_TURNS = Measure("REV-PER-MIN", "/min", "AngularVelocity", "revolutionPerMinute")
_HOURLY = Measure("M3-PER-HR", "m3/h")

MEASURES = {
    "%": Measure("PERCENT", "%"),
    "1/min": _TURNS,
    "rpm": _TURNS,
    "A": Measure("A", "A", "Current", "ampere"),
    "mA": Measure("MilliA", "mA", "Current", "milliampere"),
    "V": Measure("V", "V", "Voltage", "volt"),
    "kV": Measure("KiloV", "kV", "Voltage", "kilovolt"),
    "W": Measure("W", "W", "Power", "watt"),
    "kW": Measure("KiloW", "kW", "Power", "kilowatt"),
    "MW": Measure("MegaW", "MW", "Power", "megawatt"),
    "kWh": Measure("KiloW-HR", "kW.h", "Energy", "kilowattHour"),
    "J": Measure("J", "J", "Energy", "joule"),
    "Hz": Measure("HZ", "Hz", "Frequency", "hertz"),
    "bar": Measure("BAR", "bar", "Pressure", "bar"),
    "mbar": Measure("MilliBAR", "mbar", "Pressure", "millibar"),
    "Pa": Measure("PA", "Pa", "Pressure", "pascal"),
    "kPa": Measure("KiloPA", "kPa", "Pressure", "kilopascal"),
    "psi": Measure("PSI", "[psi]", "Pressure", "poundPerSquareInch"),
    "degC": _DEGREES,
    "°C": _DEGREES,
    "K": Measure("K", "K", "Temperature", "kelvin"),
    "degF": Measure("DEG_F", "[degF]", "Temperature", "degreeFahrenheit"),
    "m3/h": _HOURLY,
    "m³/h": _HOURLY,
    "l/min": Measure("L-PER-MIN", "L/min"),
    "l/h": Measure("L-PER-HR", "L/h", "VolumeFlowRate", "litrePerHour"),
    "l/s": Measure("L-PER-SEC", "L/s", "VolumeFlowRate", "litrePerSecond"),
    "kg/h": Measure("KiloGM-PER-HR", "kg/h", "MassFlowRate", "kilogramPerHour"),
    "m3": Measure("M3", "m3", "Volume", "cubicMetre"),
    "l": Measure("L", "L", "Volume", "litre"),
    "kg": Measure("KiloGM", "kg", "Mass", "kilogram"),
    "t": Measure("TONNE", "t", "Mass", "tonne"),
    "m": Measure("M", "m", "Length", "metre"),
    "mm": Measure("MilliM", "mm", "Length", "millimetre"),
    "m/s": Measure("M-PER-SEC", "m/s", "Velocity", "metrePerSecond"),
    "mm/s": Measure("MilliM-PER-SEC", "mm/s"),
    "N": Measure("N", "N", "Force", "newton"),
    "Nm": Measure("N-M", "N.m", "Torque", "newtonMetre"),
    "s": Measure("SEC", "s", "TimeSpan", "second"),
    "ms": Measure("MilliSEC", "ms", "TimeSpan", "millisecond"),
    "h": Measure("HR", "h", "TimeSpan", "hour"),
}
"""By the unit as configurations write it."""
