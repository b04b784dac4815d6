"""The code as the architecture tests see it: text and syntax trees, and the allow-list."""

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Source:
    """One module. ``name`` is its path from the checkout's root, as the allow-list writes it."""

    name: str
    text: str
    tree: ast.Module

    def nodes(self, kind: Any) -> Iterator[Any]:
        return (node for node in ast.walk(self.tree) if isinstance(node, kind))


def is_python(path: Path) -> bool:
    """By its name, or by its first line: scripts have no ending."""
    if path.suffix or not path.is_file():
        return path.suffix == ".py"
    with path.open("rb") as file:
        return b"python" in file.readline()


def read_sources(folder: str) -> list[Source]:
    paths = sorted(filter(is_python, (ROOT / folder).rglob("*")))
    texts = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}
    return [Source(name, text, ast.parse(text, name)) for name, text in texts.items()]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def package() -> list[Source]:
    """Every module of edgetwin."""
    return read_sources("edgetwin")


@pytest.fixture(scope="session")
def code(package: list[Source]) -> list[Source]:
    """Every module that we keep in order: edgetwin and the scripts."""
    return [*package, *read_sources("scripts")]


@pytest.fixture(scope="session")
def allowed() -> dict[str, Any]:
    """The exceptions, each with its reason."""
    with (Path(__file__).parent / "allowed.toml").open("rb") as file:
        return tomllib.load(file)
