import json

import pytest

from edgetwin.analysis.registry import KEEP, Registry, read_model
from edgetwin.core.errors import ModelError


def test_detector_that_never_learned_has_no_model(tmp_path):
    assert Registry(tmp_path).current("pump") is None


def test_stored_model_is_found_again_after_a_restart(tmp_path):
    stored = Registry(tmp_path).store("pump", b"first")
    assert Registry(tmp_path).current("pump") == stored
    assert (stored.onnx, stored.version) == (b"first", 1)
    assert (tmp_path / "models/pump/0001.onnx").read_bytes() == b"first"


def test_newest_model_counts_and_only_the_last_few_are_kept(tmp_path):
    registry = Registry(tmp_path)
    for version in range(1, 6):
        registry.store("pump", f"version {version}".encode())
    assert registry.current("pump").onnx == b"version 5"
    files = sorted(p.name for p in (tmp_path / "models/pump").glob("*.onnx"))
    assert files == ["0003.onnx", "0004.onnx", "0005.onnx"]
    assert len(files) == KEEP


def test_altered_model_is_refused_with_its_place_and_the_cure(tmp_path):
    registry = Registry(tmp_path)
    registry.store("pump", b"first")
    (tmp_path / "models/pump/0001.onnx").write_bytes(b"firsT")
    with pytest.raises(ModelError, match=r"0001.onnx was altered.*remove .* to learn anew"):
        registry.current("pump")


def test_missing_model_is_refused(tmp_path):
    registry = Registry(tmp_path)
    registry.store("pump", b"first")
    (tmp_path / "models/pump/0001.onnx").unlink()
    with pytest.raises(ModelError, match=r"0001.onnx is missing"):
        registry.current("pump")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"file": "x.onnx", "sha256": ""}', "{\x00"])
def test_damaged_manifest_is_refused(tmp_path, text):
    registry = Registry(tmp_path)
    registry.store("pump", b"first")
    (tmp_path / "models/pump/current.json").write_text(text)
    with pytest.raises(ModelError, match=r"current.json cannot be read"):
        registry.current("pump")


def test_manifest_cannot_lead_out_of_its_folder(tmp_path):
    registry = Registry(tmp_path)
    registry.store("pump", b"first")
    (tmp_path / "0007.onnx").write_bytes(b"outside")
    manifest = {"file": "../../0007.onnx", "sha256": "0" * 64}
    (tmp_path / "models/pump/current.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match=r"pump.0007.onnx is missing"):
        registry.current("pump")


@pytest.mark.parametrize("name", ["..", "a/b", "pump 7", "Förderpumpe"])
def test_any_name_of_a_detector_stays_inside_the_models_folder(tmp_path, name):
    registry = Registry(tmp_path)
    registry.store(name, b"model")
    assert registry.current(name).onnx == b"model"
    (folder,) = (tmp_path / "models").iterdir()
    assert (folder / "0001.onnx").exists()


def test_power_cut_between_model_and_manifest_leaves_the_model_before(tmp_path):
    registry = Registry(tmp_path)
    registry.store("pump", b"first")
    (tmp_path / "models/pump/0002.onnx").write_bytes(b"second")
    (tmp_path / "models/pump/current.new").write_bytes(b"{")
    assert registry.current("pump").onnx == b"first"
    assert registry.store("pump", b"third").version == 3


def test_folder_that_takes_no_file_is_a_model_error(tmp_path):
    (tmp_path / "models").write_text("in the way")
    with pytest.raises(ModelError, match="cannot be stored"):
        Registry(tmp_path).store("pump", b"first")


def test_given_model_that_is_missing_or_a_folder_is_refused(tmp_path):
    with pytest.raises(ModelError, match="is missing"):
        read_model(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match="cannot be read"):
        read_model(tmp_path)
