import hashlib

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgetwin.analysis.onnx import load_scorer
from edgetwin.core.errors import ModelError

TAGS = ("skid/flow", "skid/pressure", "skid/current")


def foreign(nodes, *, constants=(), tags='["a", "b"]', window="4", **shapes):
    """A model by somebody else: two tags, four rows, unless told otherwise."""
    shape = {"window": [1, 4, 2], "score": [1], "shares": [1, 2], **shapes}
    values = {k: helper.make_tensor_value_info(k, TensorProto.FLOAT, s) for k, s in shape.items()}
    graph = helper.make_graph(
        nodes, "foreign", [values.pop("window")], list(values.values()), list(constants)
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    meta = {"edgetwin.schema": "1", "edgetwin.tags": tags, "edgetwin.window": window}
    helper.set_model_props(model, {k: v for k, v in meta.items() if v is not None})
    return model


def means():
    """The score is the mean of all values, the shares are the means of the tags."""
    axes = [
        helper.make_tensor("rows", TensorProto.INT64, [1], [1]),
        helper.make_tensor("all", TensorProto.INT64, [2], [1, 2]),
    ]
    nodes = [
        helper.make_node("ReduceMean", ["window", "all"], ["score"], keepdims=0),
        helper.make_node("ReduceMean", ["window", "rows"], ["shares"], keepdims=0),
    ]
    return {"nodes": nodes, "constants": axes}


def load(model, tags=("a", "b"), window=4, sha256=""):
    return load_scorer(model.SerializeToString(), tags, window, sha256)


def test_same_window_gives_the_same_score_in_every_session(model, material):
    window = material.rows[-30:].astype(np.float32)
    scores = [load_scorer(model, TAGS, 30).score(window) for _ in range(3)]
    assert len({(s.value, s.shares.tobytes()) for s in scores}) == 1


def test_foreign_model_that_meets_the_contract_is_run():
    scorer = load(foreign(**means()))
    score = scorer.score(np.tile(np.float32([1.0, 3.0]), (4, 1)))
    assert (score.value, score.shares.tolist()) == (2.0, [1.0, 3.0])


def test_pinned_model_is_accepted_and_an_altered_one_refused(model):
    pin = hashlib.sha256(model).hexdigest()
    load_scorer(model, TAGS, 30, pin.upper())
    altered = bytearray(model)
    altered[len(altered) // 2] ^= 1
    with pytest.raises(ModelError, match="was altered: its SHA-256"):
        load_scorer(bytes(altered), TAGS, 30, pin)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00" * 1000, b"\x08\x0a\xff\xff"])
def test_bytes_that_are_no_model_are_refused_with_a_sentence(content):
    with pytest.raises(ModelError, match=r"no ONNX file|has 0 bytes"):
        load_scorer(content, TAGS, 30)


def test_model_cut_short_anywhere_is_refused_or_caught_by_its_hash(model):
    for end in range(0, len(model) - 1, 97):
        with pytest.raises(ModelError):
            load_scorer(model[:end], TAGS, 30, hashlib.sha256(model).hexdigest())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tags": '["b", "a"]'}, "made for other tags: for b, a; the detector watches a, b"),
        ({"tags": "nonsense"}, "made for other tags: for no tags"),
        ({"tags": None}, "made for other tags"),
        ({"window": "5"}, "looks at 5 rows, the detector keeps 4"),
        ({"window": None}, "looks at an unknown number of rows"),
    ],
)
def test_metadata_that_does_not_match_is_refused_with_the_difference(changes, said):
    with pytest.raises(ModelError, match=said):
        load(foreign(**means(), **changes))


def test_model_without_the_schema_is_refused():
    model = foreign(**means())
    del model.metadata_props[:]
    with pytest.raises(ModelError, match=r"edgetwin.schema nowhere, expected 1"):
        load(model)


def test_model_for_another_number_of_rows_than_it_says_is_refused():
    model = foreign(**means())
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 7
    with pytest.raises(ModelError, match="the model's window is"):
        load(model)


def test_model_with_other_outputs_is_refused_by_name():
    nodes = means()
    model = foreign(**nodes)
    for node in model.graph.node:
        node.output[0] = node.output[0].replace("score", "loss")
    model.graph.output[0].name = "loss"
    with pytest.raises(ModelError, match="the model has window, loss, shares; it must have"):
        load(model)


def test_model_that_answers_with_no_number_is_refused_by_its_first_run():
    nodes = means()
    nodes["nodes"][0] = helper.make_node("ReduceMean", ["window", "all"], ["mean"], keepdims=0)
    nodes["nodes"].append(helper.make_node("Div", ["mean", "mean"], ["score"]))  # 0 / 0
    with pytest.raises(ModelError, match="answer is no number"):
        load(foreign(**nodes))


def test_model_that_keeps_weights_in_other_files_is_refused(tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    proto = onnx.load_from_string(model)
    onnx.save_model(
        proto,
        "m.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
        convert_attribute=True,
    )
    assert (tmp_path / "weights.bin").exists()
    with pytest.raises(ModelError, match="weights in other files"):
        load_scorer((tmp_path / "m.onnx").read_bytes(), TAGS, 30)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_window_that_holds_no_number_gives_no_score(model, material, value):
    window = material.rows[:30].astype(np.float32)
    window[3, 1] = value
    with pytest.raises(ModelError, match="window holds a value that is no number"):
        load_scorer(model, TAGS, 30).score(window)


def test_extreme_values_give_a_score_not_an_error(model, material):
    window = material.rows[:30].astype(np.float32)
    window[:, 1] = 1e30
    score = load_scorer(model, TAGS, 30).score(window)
    assert score.value > 1000
    assert int(np.argmax(score.shares)) == 1


def test_window_of_another_size_is_a_model_error_not_a_crash(model):
    with pytest.raises(ModelError, match="the model fails"):
        load_scorer(model, TAGS, 30).score(np.zeros((29, 3), np.float32))
