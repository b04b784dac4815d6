import numpy as np
import pytest

from edgetwin.analysis.material import Material
from edgetwin.analysis.train import train

TAGS = ("skid/flow", "skid/pressure", "skid/current")


def make_material(rows=300, tags=TAGS, seed=0, window=30, **changes):
    """Correlated healthy rows at levels far apart, as plants have them."""
    rng = np.random.default_rng(seed)
    n = len(tags)
    values = rng.normal(size=(rows, n)) @ rng.normal(size=(n, n)) + 100.0 * np.arange(n)
    settings = {"rows": values, "tags": tuple(tags), "units": ("",) * n, "window": window}
    return Material(**{**settings, "limit": 1.5, "start": 10, "end": 20, **changes})


@pytest.fixture(name="make_material", scope="session")
def make_material_fixture():
    return make_material


@pytest.fixture(scope="session")
def material():
    return make_material()


@pytest.fixture(scope="session")
def model(material):
    return train(material)
