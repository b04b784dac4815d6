import asyncio
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from edgetwin.analysis.learn import learn
from edgetwin.analysis.material import Material, pack, unpack
from edgetwin.core.errors import ModelError

TAGS = ("skid/flow", "skid/pressure", "skid/current")
PROGRAM = [sys.executable, "-m", "edgetwin.analysis.learner"]


async def test_model_learned_in_another_process_is_the_same_to_the_byte(material, model):
    assert await learn(material) == model


async def test_rows_that_cannot_be_learned_come_back_as_the_child_s_sentence(make_material):
    with pytest.raises(ModelError, match="learning failed: 20 rows are too few to learn from"):
        await learn(make_material(rows=20))


async def test_value_that_is_no_number_comes_back_with_its_tag(make_material):
    material = make_material()
    material.rows[7, 2] = np.nan
    with pytest.raises(ModelError, match="skid/current hold a value that is no number"):
        await learn(material)


async def test_learning_that_takes_too_long_is_stopped(material):
    with pytest.raises(ModelError, match=r"took more than 0.001 s and was stopped"):
        await learn(material, deadline_s=0.001)


async def test_cancelled_learning_leaves_no_process_behind(material, monkeypatch):
    started = asyncio.Event()
    made = []
    create = asyncio.create_subprocess_exec

    async def watched(*args, **kwargs):
        made.append(await create(*args, **kwargs))
        started.set()
        return made[0]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", watched)
    learning = asyncio.create_task(learn(material))
    async with asyncio.timeout(20):
        await started.wait()
        learning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await learning
    assert made[0].returncode is not None


def test_program_reads_and_writes_files(tmp_path, material, model):
    (tmp_path / "rows.npz").write_bytes(pack(material))
    paths = [tmp_path / "rows.npz", tmp_path / "model.onnx"]
    subprocess.run([*PROGRAM, *paths], check=True, timeout=60)
    assert (tmp_path / "model.onnx").read_bytes() == model


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["/nowhere/rows.npz"], 1, "No such file"),
        (["--help"], 2, "usage:"),
        (["a", "b", "c"], 2, "usage:"),
    ],
)
def test_program_used_wrongly_says_one_sentence(arguments, code, said):
    command = [*PROGRAM, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_material_survives_its_journey(material):
    back = unpack(pack(replace(material, units=("m³/h", "bar", "A"))))
    assert np.array_equal(back.rows, material.rows)
    assert (back.tags, back.units) == (TAGS, ("m³/h", "bar", "A"))
    assert (back.window, back.limit, back.start, back.end) == (30, 1.5, 10, 20)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", b"rubbish"])
def test_bytes_that_are_no_material_are_refused(content):
    with pytest.raises(ModelError, match="rows to learn from cannot be read"):
        unpack(content)


def test_material_with_a_part_missing_is_refused(material):
    packed = pack(Material(material.rows, TAGS, TAGS, 30, 1.0)).replace(b"limit", b"limot")
    with pytest.raises(ModelError, match="cannot be read"):
        unpack(packed)
