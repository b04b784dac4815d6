"""What the demo's two devices show: the simulated skid, or the rows of a table, behind one seam."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from edgetwin.demo.modbus_server import Image
from edgetwin.demo.plant import Fault, Plant


class Source(Protocol):
    """Something two devices can show: one on Modbus (``image``), one on OPC UA (``nodes``)."""

    image: Image
    nodes: Mapping[str, str]

    def command(self, value: float) -> bool:
        """Take the setpoint, or refuse it."""

    def tell(self, word: str) -> None:
        """Take a word from stdin; one it does not know is passed over."""

    def step(self, dt: float) -> str:
        """Let ``dt`` seconds pass. A text is for the watcher."""

    @property
    def meter(self) -> Mapping[str, float]:
        """The values of the OPC UA nodes now."""


class SkidSource:
    """The simulated pump skid, and its meter on OPC UA. Words: clog, freeze, heal."""

    def __init__(self, seed: int) -> None:
        """The same ``seed`` gives the same day again."""
        self.nodes: Mapping[str, str] = {
            "Flow": "s=Flow",
            "Temperature": "i=1002",
            "Vibration": "s=Vibration",
        }
        self._plant = Plant(seed)
        self.image = Image([0.0] * 4)
        self._show()

    def command(self, value: float) -> bool:
        """Pass a speed setpoint to the drive."""
        taken = self._plant.command(value)
        self._show()
        return taken

    def tell(self, word: str) -> None:
        """Do to the skid what the word says."""
        if word in tuple(Fault):
            self._plant.suffer(Fault(word))

    def step(self, dt: float) -> str:
        """Let the physics go on."""
        self._plant.step(dt)
        self._show()
        return ""

    def _show(self) -> None:
        now = self._plant.sensors
        self.image.measured = (
            now.discharge_pressure,
            now.suction_pressure,
            now.motor_current,
            now.valve_position,
        )
        self.image.status = now.running
        self.image.command = now.speed_setpoint

    @property
    def meter(self) -> Mapping[str, float]:
        """Flow, temperature, vibration."""
        now = self._plant.sensors
        return {"Flow": now.flow, "Temperature": now.temperature, "Vibration": now.vibration}


class TableSource:
    """Plays a table, a row per step, after the word ``go``; holds the first before, the last after.

    The bit 1x0001 says whether it plays, 4x0001 which row is shown; neither can be written.
    """

    def __init__(self, table: Path, modbus: Sequence[str], opcua: Sequence[str]) -> None:
        """``modbus`` and ``opcua`` name the columns; the first line of the file must have them all.

        Raises:
            ValueError: a column is missing, or a value is no number; the message says where.
        """
        self.nodes: Mapping[str, str] = {name: f"s={name}" for name in opcua}
        self._rows = read_table(table, [*modbus, *opcua])
        self._split = len(modbus)
        self._row = 0
        self._playing = False
        self.image = Image(self._rows[0][: self._split])

    def command(self, value: float) -> bool:  # noqa: ARG002 - the seam's
        """Nothing can be commanded."""
        return False

    def tell(self, word: str) -> None:
        """Play from here."""
        if word == "go":
            self._playing = True

    def step(self, dt: float) -> str:  # noqa: ARG002 - a row is a step, however long it lasts
        """Show the next row. Says ``row K`` every 100 rows, and ``done`` once."""
        if not self._playing:
            return ""
        last = len(self._rows) - 1
        self._row = min(last, self._row + 1)
        self._playing = self._row < last
        self.image.measured = self._rows[self._row][: self._split]
        self.image.status, self.image.command = self._playing, float(self._row)
        if not self._playing:
            return "done"
        return f"row {self._row}" if self._row % 100 == 0 else ""

    @property
    def meter(self) -> Mapping[str, float]:
        """The OPC UA columns of the row that is shown."""
        return dict(zip(self.nodes, self._rows[self._row][self._split :], strict=True))


def read_table(table: Path, columns: Sequence[str]) -> list[tuple[float, ...]]:
    """The named columns of a CSV file with a header line, separated by ``;`` or ``,``.

    Raises:
        ValueError: a column is missing, a value is no number, or there is no row.
    """
    with table.open(newline="", encoding="utf-8") as lines:
        header = lines.readline()
        lines.seek(0)
        reader = csv.DictReader(lines, delimiter=";" if ";" in header else ",")
        if missing := set(columns) - set(reader.fieldnames or ()):
            raise ValueError(
                f"{table}: no column {', '.join(sorted(missing))} in {header.strip()!r}"
            )
        rows = []
        for number, row in enumerate(reader, start=2):
            try:
                rows.append(tuple(float(row[name]) for name in columns))
            except (TypeError, ValueError) as error:
                raise ValueError(f"{table}:{number}: {error}") from error
    if not rows:
        raise ValueError(f"{table}: no rows below the header")
    return rows
