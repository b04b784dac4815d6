"""The schema, what is rendered from it, and the registries that it has to agree with."""

from pathlib import Path

import pytest

from edgetwin.config import render
from edgetwin.config.kinds import Kind
from edgetwin.config.load import load
from edgetwin.config.option import options
from edgetwin.config.problem import Problems
from edgetwin.config.schema.devices import DRIVER
from edgetwin.config.schema.gateway import Gateway
from edgetwin.config.schema.loops import LAW
from edgetwin.config.walk import walk
from edgetwin.core.laws import LAWS
from edgetwin.devices import DRIVERS

ROOT = Path(__file__).parents[2]
SECTIONS = render.ordered(Gateway)
EVERY = [(each, name, option) for each in SECTIONS for name, option in options(each).items()]
IDS = [f"{each.__name__}.{name}" for each, name, _ in EVERY]


@pytest.mark.parametrize(("section", "name", "option"), EVERY, ids=IDS)
def test_every_option_has_a_meaning_and_an_example(section, name, option):
    assert option.doc.endswith((".", ")"))
    assert option.example
    assert not (option.default and option.unless)


@pytest.mark.parametrize(
    ("kind", "option"),
    [(option.shape, option) for _, _, option in EVERY if isinstance(option.shape, Kind)],
    ids=[name for name, each in zip(IDS, EVERY, strict=True) if isinstance(each[2].shape, Kind)],
)
def test_every_example_and_default_is_itself_right(kind, option):
    kind.read(option.example.strip('"'))
    if option.default:
        kind.read(option.default)


def test_the_reference_is_rendered_from_the_schema():
    written = (ROOT / "docs/configuration.md").read_text("utf-8")
    assert written == render.reference(), (
        "run: python -m edgetwin.config.render > docs/configuration.md"
    )


def test_the_sample_names_every_option_and_can_be_read():
    problems = Problems()
    sample = render.sample()
    assert walk(load(sample, "sample", problems), Gateway, problems) is not None
    assert not problems.found
    for _, name, _ in EVERY:
        assert f"{name}:" in sample


def test_drivers_and_laws_are_those_of_the_registries():
    assert [DRIVER.read(name) for name in DRIVERS] == list(DRIVERS)
    assert DRIVER.title == " or ".join(DRIVERS)
    assert LAW.title == " or ".join(LAWS)
