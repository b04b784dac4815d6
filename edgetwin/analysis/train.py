"""Train the built-in detector. Used in the learning process only, never in the daemon."""

import numpy as np

from edgetwin.analysis.material import Material
from edgetwin.analysis.writer import write
from edgetwin.core.anomaly import fit
from edgetwin.core.errors import ModelError


def train(material: Material) -> bytes:
    """Learn from the rows what normal is: the bytes of an ONNX file.

    Raises:
        ModelError: the rows do not fit; the message names the tag.
    """
    _check(material)
    return write(fit(material.rows, material.window), material)


def _check(material: Material) -> None:
    rows, tags = material.rows, material.tags
    if rows.ndim != 2 or rows.shape[1] != len(tags) or len(tags) != len(material.units):
        raise ModelError(
            f"the training rows have the shape {rows.shape}, but there are {len(tags)} tags "
            f"and {len(material.units)} units; there must be one column and one unit a tag"
        )
    if not tags:
        raise ModelError("there is no tag to learn; name the tags that the detector watches")
    odd = ~np.isfinite(rows).all(axis=0)
    if odd.any():
        raise ModelError(
            f"the training rows of {tags[int(np.argmax(odd))]} hold a value that is no number"
        )
