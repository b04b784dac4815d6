"""Write what was learned as an ONNX file (the only door to the onnx package).

Used in the learning process only, never in the daemon, which needs neither the package nor its
parsers. The graph is that of ``core.anomaly.evaluate``, node by node:

    x [batch, w, n] ─ Sub center ─ MatMul smooth ─ MatMul mix ─ Clip ─ square ─ terms [batch, 3, n]
    terms ─ sum over tags (T, Q), max over tags (Z) ─ at least PART_FLOOR² ─ product ^ 1/6 ─ score
    terms ÷ their sums ─ sum over T, Q, Z ─ to sum 1 ─ shares

The same material gives the same bytes: nothing here asks for the time.
"""

import json

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgetwin.analysis.contract import INPUT, IR, OPSET, SCHEMA, SCORE, SHARES, Key
from edgetwin.analysis.material import Material
from edgetwin.core.anomaly import PART_CEILING, PART_FLOOR, TINY, Fit


def write(learned: Fit, material: Material) -> bytes:
    """The bytes of an ONNX file that meets docs/anomaly.md, with what it was learned from."""
    n, window = len(learned.center), learned.smooth.shape[1]
    inputs = [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", window, n])]
    outputs = [
        helper.make_tensor_value_info(SCORE, TensorProto.FLOAT, ["batch"]),
        helper.make_tensor_value_info(SHARES, TensorProto.FLOAT, ["batch", n]),
    ]
    constants = [
        numpy_helper.from_array(value, name) for name, value in _constants(learned).items()
    ]
    graph = helper.make_graph(_nodes(), "edgetwin detector", inputs, outputs, constants)
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=IR, producer_name="edgetwin")
    helper.set_model_props(model, _about(learned, material))
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _about(learned: Fit, material: Material) -> dict[str, str]:
    ranges = [
        [float(low), float(high)] for low, high in zip(learned.low, learned.high, strict=True)
    ]
    training = {"from": material.start, "to": material.end, "rows": learned.rows, "range": ranges}
    return {
        Key.SCHEMA: SCHEMA,
        Key.TAGS: json.dumps(material.tags),
        Key.UNITS: json.dumps(material.units),
        Key.WINDOW: str(material.window),
        Key.LIMIT: repr(material.limit),
        Key.TRAINING: json.dumps(training),
    }


def _constants(learned: Fit) -> dict[str, NDArray[np.generic]]:
    n = len(learned.center)
    single = {
        "center": learned.center,
        "smooth": learned.smooth,
        "mix": learned.mix,
        "bottom": np.array(-PART_CEILING),
        "top": np.array(PART_CEILING),
        "floor": np.array(PART_FLOOR**2),
        "tiny": np.array(TINY),
        "sixth": np.array(1 / 6),
    }
    whole = {
        "flat": [0, 2 * n],
        "parts": [0, 3, n],
        "tags": [2],
        "kinds": [1],
        "both": [1, 2],
    }
    constants: dict[str, NDArray[np.generic]] = {}
    constants.update({name: value.astype(np.float32) for name, value in single.items()})
    constants.update({name: np.array(value, np.int64) for name, value in whole.items()})
    constants["is_largest"] = np.array([[[False], [False], [True]]])
    return constants


def _nodes() -> list[onnx.NodeProto]:
    node = helper.make_node
    return [
        node("Sub", [INPUT, "center"], ["deviation"]),
        node("MatMul", ["smooth", "deviation"], ["means"]),
        node("Reshape", ["means", "flat"], ["means_flat"]),
        node("MatMul", ["means_flat", "mix"], ["mixed"]),
        node("Clip", ["mixed", "bottom", "top"], ["bounded"]),
        node("Reshape", ["bounded", "parts"], ["roots"]),
        node("Mul", ["roots", "roots"], ["terms"]),
        node("ReduceSum", ["terms", "tags"], ["sums"], keepdims=1),
        node("ReduceMax", ["terms", "tags"], ["largest"], keepdims=1),
        node("Where", ["is_largest", "largest", "sums"], ["distances"]),
        node("Max", ["distances", "floor"], ["floored"]),
        node("ReduceProd", ["floored", "both"], ["product"], keepdims=0),
        node("Pow", ["product", "sixth"], [SCORE]),
        node("Max", ["sums", "tiny"], ["divisors"]),
        node("Div", ["terms", "divisors"], ["fractions"]),
        node("ReduceSum", ["fractions", "kinds"], ["blame"], keepdims=0),
        node("ReduceSum", ["blame", "kinds"], ["all_blame"], keepdims=1),
        node("Max", ["all_blame", "tiny"], ["some_blame"]),
        node("Div", ["blame", "some_blame"], [SHARES]),
    ]
