"""A short siege; scripts/campaigns/hostile_requests lays the long one."""

import importlib.util
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.broker, pytest.mark.e2e]


@pytest.fixture(scope="module")
def hostile():
    path = Path(__file__).with_name("hostile_requests.py")
    spec = importlib.util.spec_from_file_location("edgetwin_upstream_hostile_requests", path)
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_nothing_hostile_is_written_and_all_of_it_is_counted(
    hostile, mosquitto, upstream_signer, tmp_path
):
    report = await hostile.besiege(750, tmp_path, mosquitto.port, upstream_signer, huge=False)
    assert report.faults() == []
    assert report.counted["replay"] > 0


async def test_what_is_asked_again_after_a_kill_is_never_written_twice(
    hostile, mosquitto, upstream_signer, tmp_path
):
    written, applied = await hostile.kill_and_repeat(2, tmp_path, mosquitto.port, upstream_signer)
    assert len(written) > 5
    assert set(written.values()) == {1}
    assert applied - {0.0} <= set(written)
