"""Hands the conformance suite to each driver's tests: fixtures ``conformance`` and ``check``."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def _load() -> ModuleType:
    # Tests have no packages (import-mode=importlib), so shared code is loaded by its path, once.
    name = "edgetwin_conformance"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("conformance.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for ``check`` runs once for each check of the suite."""
    if "check" in metafunc.fixturenames:
        checks = _load().CHECKS
        metafunc.parametrize("check", checks, ids=[check.__name__ for check in checks])


@pytest.fixture(scope="session")
def conformance() -> ModuleType:
    """The module tests/devices/conformance.py: Recorder, request_for, scan_all, write, loss …"""
    return _load()
