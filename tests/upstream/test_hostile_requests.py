"""A short siege; scripts/campaigns/hostile_requests lays the long one."""

import importlib.util
from pathlib import Path

import pytest


@pytest.mark.broker
@pytest.mark.e2e
async def test_nothing_hostile_is_written_and_all_of_it_is_counted(
    mosquitto, upstream_signer, tmp_path
):
    path = Path(__file__).with_name("hostile_requests.py")
    spec = importlib.util.spec_from_file_location("edgetwin_hostile_requests", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    report = await module.besiege(750, tmp_path, mosquitto.port, upstream_signer, huge=False)
    assert report.faults() == []
    assert report.counted["replay"] > 0
