import importlib
import math

import pytest

from edgetwin.core.expression import parse_expression
from edgetwin.core.laws import LAWS
from edgetwin.core.laws.formula import Formula
from edgetwin.core.laws.law import Band, Sample

WIDE = Band(-1e9, 1e9)


def formula(text):
    return Formula(parse_expression(text))


@pytest.mark.parametrize(
    ("text", "sample", "mv"),
    [
        ("100 if pv < sp else 0", Sample(3.0, 4.0, 0.1), 100.0),
        ("0.8 * flow", Sample(3.0, 4.0, 0.1, (10.0,)), 8.0),
        ("skid.flow + pv * pump.n - sp", Sample(3.0, 4.0, 0.1, (10.0, 2.0)), 12.0),
    ],
)
def test_formula_gives_its_value_from_pv_sp_and_its_other_tags(text, sample, mv):
    assert formula(text).step(0.0, sample, WIDE).mv == mv


def test_inputs_are_the_other_names_in_order_of_first_use():
    assert formula("skid.flow + pv * n - sp * n").inputs == ("skid/flow", "n")


def test_output_stays_inside_the_band():
    assert formula("1000 * pv").step(0.0, Sample(1.0, 0.0, 0.1), Band(0.0, 50.0)).mv == 50.0


@pytest.mark.parametrize("pv", [0.0, math.nan])
def test_output_stays_where_the_expression_gives_no_number(pv):
    law = formula("1 / pv")
    state = law.start(Sample(pv, 0.0, 0.1), 42.0)
    step = law.step(state, Sample(pv, 0.0, 0.1), WIDE)
    assert step.mv == 42.0
    assert law.step(step.state, Sample(2.0, 0.0, 0.1), WIDE).mv == 0.5


@pytest.mark.parametrize("name", LAWS)
def test_every_registered_law_has_a_frozen_class_behind_the_seam(name):
    module, _, class_name = LAWS[name].partition(":")
    law = getattr(importlib.import_module(module), class_name)
    assert law.__dataclass_params__.frozen
    assert callable(law.start)
    assert callable(law.step)
