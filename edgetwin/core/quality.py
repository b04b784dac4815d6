"""Quality of a value: one byte, its class in the top two bits, the reason in the rest.

The classes are those of OPC UA (OPC 10000-4 §7.39: good 00, uncertain 01, bad 10), so that one
comparison answers "may a control law use this?" for a whole column:
``quality < Quality.UNCERTAIN``.
"""

from enum import IntEnum


class Quality(IntEnum):
    """Why a value may or may not be trusted; stored as uint8.

    ``NO_VALUE``: the device says, by a raw value kept for that, that it has none.
    ``SENSOR_FAILURE``: a 4-20 mA signal lies where NAMUR NE 43 puts a broken sensor or wire.
    """

    GOOD = 0x00

    UNCERTAIN = 0x40
    OUT_OF_RANGE = 0x41
    SUBSTITUTED = 0x42

    BAD = 0x80
    NOT_YET_READ = 0x81
    STALE = 0x82
    NO_COMMUNICATION = 0x83
    DEVICE_FAULT = 0x84
    CONFIG_ERROR = 0x85
    NOT_A_NUMBER = 0x86
    FROZEN = 0x87
    NO_VALUE = 0x88
    SENSOR_FAILURE = 0x89

    @property
    def is_good(self) -> bool:
        """Whether a control law may use the value."""
        return self < Quality.UNCERTAIN

    @property
    def is_bad(self) -> bool:
        """Whether the value says nothing about the plant."""
        return self >= Quality.BAD

    @property
    def grade(self) -> str:
        """``good``, ``uncertain`` or ``bad``."""
        if self.is_good:
            return "good"
        return "bad" if self.is_bad else "uncertain"

    @property
    def words(self) -> str:
        """For people: ``bad: no communication``; just ``good`` where there is nothing to add."""
        if self in (Quality.GOOD, Quality.UNCERTAIN, Quality.BAD):
            return self.grade
        return f"{self.grade}: {self.name.lower().replace('_', ' ')}"
