"""For all tests: in CI nothing is skipped in silence."""

import importlib.util
import os
import sys
from collections.abc import Generator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes is up to the machine, and says nothing of what it shows.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# What a machine may lack even in CI, each with its marker: development data that we may not ship,
# and a server that only the example of docs/fleet.md needs.
MAY_BE_ABSENT = ("shared", "nats")


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure where CI=true: a missing broker must not look like a pass."""
    if report.skipped and os.environ.get("CI") == "true":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} may not be skipped in CI. {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that skips itself."""
    report = yield
    if not hasattr(report, "wasxfail") and not any(map(item.get_closest_marker, MAY_BE_ABSENT)):
        _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A whole module that skips itself."""
    report = yield
    _refuse_skip(report)
    return report


def _load(path: Path) -> ModuleType:
    # Tests have no packages (import-mode=importlib), so shared code is loaded by its path, once.
    name = f"edgetwin_{path.parent.name}_{path.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def upstream_rig() -> ModuleType:
    """The classes of upstream/rig.py: ``Mosquitto``, ``Subscriber``, ``Ledger``, ``Proxy``."""
    return _load(Path(__file__).parent / "upstream" / "rig.py")


@pytest.fixture(scope="session")
def upstream_signer() -> ModuleType:
    """The class of upstream/signer.py: ``Signer``, who makes signed requests."""
    return _load(Path(__file__).parent / "upstream" / "signer.py")


@pytest.fixture
def mosquitto(upstream_rig, tmp_path):
    """A running broker on loopback: ``port``, ``stop()``, ``start()``.

    Mark such tests ``broker``.
    """
    if upstream_rig.find_mosquitto() is None:
        pytest.skip("mosquitto is not installed (Debian: apt install mosquitto)")
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    broker = upstream_rig.Mosquitto(folder)
    broker.start()
    yield broker
    broker.stop()
