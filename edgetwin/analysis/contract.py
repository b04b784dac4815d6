"""The contract between a model file and edgetwin, as docs/anomaly.md tells it to people.

The input is one or more windows of raw values, oldest row first; the outputs are a score a window,
and a share for every tag. The metadata tells which tags, in which order.
"""

from enum import StrEnum

INPUT = "window"
SCORE = "score"
SHARES = "shares"

SCHEMA = "1"
OPSET = 21
IR = 10
"""Opset 21 with IR 10 loads in onnxruntime from 1.18 on; newer ones would gain nothing here."""

MAX_BYTES = 64 << 20
"""No model file may be larger. The built-in one has 4 kB for 8 tags, 100 kB for 64."""


class Key(StrEnum):
    """The metadata of a model file. Tags, units and training are JSON."""

    SCHEMA = "edgetwin.schema"
    TAGS = "edgetwin.tags"
    UNITS = "edgetwin.units"
    WINDOW = "edgetwin.window"
    LIMIT = "edgetwin.limit"
    TRAINING = "edgetwin.training"
