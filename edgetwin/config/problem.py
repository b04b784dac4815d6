"""What is wrong with a configuration: all of it at once, each with its place and its cure."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from edgetwin.config.node import Node, Place
from edgetwin.core.errors import ConfigError


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong: where, and what with its cure in one line."""

    file: str
    line: int
    column: int
    text: str

    def __str__(self) -> str:
        """The place first, the cure last."""
        return f"{self.file}:{self.line}:{self.column}: {self.text}"


class ConfigErrors(ConfigError):
    """Everything that is wrong with a configuration. Its text is one line a problem."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))

    @property
    def summary(self) -> str:
        """The last line for people."""
        count = len(self.problems)
        return f"{count} error{'s' if count != 1 else ''}; nothing was started."


class Problems:
    """Collects problems while the configuration is read to its end."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def at(self, place: Place, text: str) -> None:
        """Note a problem at a place. What a terminal could not print is shown as ``?``."""
        self.found.append(
            Problem(_printable(place.file), place.line, place.column, _printable(text))
        )

    def on(self, node: Node, text: str) -> None:
        """Note a problem with a node."""
        self.at(node.place, text)

    def raise_any(self) -> None:
        """End here if there is any.

        Raises:
            ConfigErrors: with all of them.
        """
        if self.found:
            raise ConfigErrors(self.found)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` Did you mean 'float32'?``, or nothing when nothing is near."""
    words = {each.lower(): each for each in known}
    near = difflib.get_close_matches(word.lower(), words, 1)
    return f" Did you mean '{words[near[0]]}'?" if near else ""


def shown(text: str) -> str:
    """A text from the file in quotes, on one line, cut to what helps."""
    line = " ".join(text.split())
    return f"'{line[:57]}…'" if len(line) > 60 else f"'{line}'"


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else "?" for each in text)
