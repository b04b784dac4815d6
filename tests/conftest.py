"""For all tests: in CI nothing is skipped in silence."""

import os
from collections.abc import Generator

import pytest

# What a machine may lack even in CI, each with its marker: development data that we may not ship.
MAY_BE_ABSENT = ("shared",)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where CI=true: a missing broker must not look like a pass."""
    report = yield
    excused = hasattr(report, "wasxfail") or any(map(item.get_closest_marker, MAY_BE_ABSENT))
    if report.skipped and os.environ.get("CI") == "true" and not excused:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} may not be skipped in CI. {reason}"
    return report
