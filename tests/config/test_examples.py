import subprocess
import sys
from pathlib import Path

import pytest

from edgetwin.config.check import report

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "config").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.name for path in EXAMPLES])
def test_example_is_right_and_tells_what_it_will_do(path):
    text, good = report(path)
    assert good, text
    first, *lines = text.splitlines()
    assert first == f"{path}: no errors; no connection was opened."
    kinds = {line.split()[0] for line in lines}
    assert {"gateway", "device", "write", "upstream", "state"} <= kinds


def test_shortest_useful_configuration_has_at_most_15_lines():
    assert len((ROOT / "config/minimal.yaml").read_text().splitlines()) <= 15


def test_check_of_the_skid_shows_the_defaults_that_matter():
    text, _ = report(ROOT / "config/pump-skid.yaml")
    assert "skid: modbus 127.0.0.1:5020 unit 1, 6 tags every 100 ms by 3 requests" in text
    assert "pressure: shadow (only watches), skid/discharge_pressure to 4.2 bar" in text
    assert "skid/speed_setpoint: 600 to 1750 1/min, at most 300 per s" in text


def test_check_tells_files_that_are_not_there_yet(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(
        "gateway: g\n"
        "devices: {d: {driver: modbus, address: h, tags: {b: {at: 3x0001, type: int16}}}}\n"
        "assets: {m: {tags: {b: d/b}, watch: {model: m.onnx}}}\n"
        "upstream: {c: {broker: mqtts://b, user: u, password_file: secret}}\n"
    )
    text, good = report(file)
    assert good
    words = " ".join(text.split())
    assert f"note {tmp_path / 'secret'} does not exist yet" in words
    assert f"note {tmp_path / 'm.onnx'} does not exist yet" in words


def test_configuration_is_read_without_loading_heavy_libraries():
    program = (
        "import sys, edgetwin.config.check\n"
        "heavy = {'numpy', 'asyncio', 'asyncua', 'pymodbus', 'paho', 'onnxruntime', 'ssl'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
