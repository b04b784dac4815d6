import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetwin.analysis.onnx import load_scorer
from edgetwin.analysis.train import train
from edgetwin.core.anomaly import evaluate, fit
from edgetwin.core.errors import ModelError


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    tags=st.integers(1, 9),
    window=st.integers(1, 40),
    shift=st.sampled_from([0.0, 1.0, 30.0, 1e6]),
    constant=st.booleans(),
)
def test_onnx_file_scores_as_the_reference_does(make_material, seed, tags, window, shift, constant):
    names = [f"rig/t{i}" for i in range(tags)]
    material = make_material(rows=200, tags=names, seed=seed, window=window)
    if constant:
        material.rows[:, 0] = 42.0
    scorer = load_scorer(train(material), names, window)
    rows = material.rows[:window].astype(np.float32)
    rows[:, seed % tags] += np.float32(shift)
    found, expected = scorer.score(rows), evaluate(fit(material.rows, window), rows)
    assert found.value == pytest.approx(expected.value, rel=2e-3)
    assert found.shares == pytest.approx(expected.shares, abs=5e-3)


def test_same_material_gives_the_same_bytes(material, model):
    assert train(material) == model


def test_file_carries_what_it_was_learned_from(material, model):
    found = {p.key: p.value for p in onnx.load_from_string(model).metadata_props}
    assert found["edgetwin.schema"] == "1"
    assert json.loads(found["edgetwin.tags"]) == list(material.tags)
    assert json.loads(found["edgetwin.units"]) == list(material.units)
    assert (found["edgetwin.window"], found["edgetwin.limit"]) == ("30", "1.5")
    training = json.loads(found["edgetwin.training"])
    assert (training["from"], training["to"], training["rows"]) == (10, 20, 300)
    assert np.allclose(training["range"], np.stack([material.rows.min(0), material.rows.max(0)], 1))


def test_graph_has_one_dynamic_batch_and_few_nodes(model):
    graph = onnx.load_from_string(model).graph
    shape = graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in shape] == ["batch", 30, 3]
    assert len(graph.node) <= 20


def test_training_value_that_is_no_number_names_its_tag(make_material):
    material = make_material()
    material.rows[5, 1] = np.nan
    with pytest.raises(ModelError, match="skid/pressure hold a value that is no number"):
        train(material)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tags": ("a", "b")}, "there are 2 tags"),
        ({"units": ()}, "0 units"),
        ({"rows": np.zeros((200, 0)), "tags": (), "units": ()}, "no tag to learn"),
        ({"rows": np.zeros((30, 3))}, "30 rows are too few"),
    ],
)
def test_material_that_does_not_fit_is_refused_with_a_sentence(material, changes, said):
    with pytest.raises(ModelError, match=said):
        train(replace(material, **changes))
