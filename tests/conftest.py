"""For all tests: in CI nothing is skipped in silence."""

import os
from collections.abc import Generator

import pytest

# What a machine may lack even in CI, each with its marker: development data that we may not ship.
MAY_BE_ABSENT = ("shared",)


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
