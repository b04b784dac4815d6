"""``edgetwin browse`` against a real server: what there is, with values, and nothing written."""

import asyncio

import pytest

from edgetwin.cli import main
from edgetwin.config.check import report

URI = "urn:edgetwin:test:tree"


@pytest.fixture
def state(tmp_path):
    return ["--state", str(tmp_path / "state"), "--security", "none"]


def url(tree) -> str:
    return tree.url.replace("/test", "/tree")


async def browse(*words: str) -> int:
    """The command has a loop of its own."""
    return await asyncio.to_thread(main, ["browse", *words])


async def test_tree_is_shown_with_values_units_types_and_access(tree, state, capsys):
    await tree.start()
    assert await browse(url(tree), *state) == 0
    out, err = capsys.readouterr()
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()[2:]}
    assert rows["Skid"] == []
    assert rows["Flow"] == ["12.5", "Double", "read", f"nsu={URI};s=Flow"]
    assert rows["Level"] == ["40", "%", "Double", "read", f"nsu={URI};s=Level"]
    assert rows["Curve"][-4:] == ["Double[]", "read", "write", f"nsu={URI};s=Curve"]
    assert rows["Mode"][:4] == ["2", "(auto)", "Int32", "read"]
    assert rows["Phase"][:3] == ["20", "(Empty)", "Int32"]
    assert rows["Valve"][:3] == ["true", "(open)", "Boolean"]
    assert rows["SetSpeed"] == ["method", f"nsu={URI};s=SetSpeed"]
    assert "ServerStatus" not in rows
    assert "anybody on the way can read" in err


async def test_filter_and_small_server_limits(tree, state, capsys):
    await tree.start("--many", "50", "--most", "7")
    assert await browse(url(tree), *state, "--filter", "many 4") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("11 values below Objects")
    assert await browse(url(tree), *state, "--filter", "nobody") == 1
    assert "Try another --filter" in capsys.readouterr().out


async def test_found_tags_are_appended_to_a_file_that_can_be_checked(tree, state, tmp_path, capsys):
    await tree.start()
    file = tmp_path / "new.yaml"
    assert await browse(url(tree), *state, "--write", str(file)) == 0
    assert "11 tags written to" in capsys.readouterr().err
    text = file.read_text("utf-8")
    assert 'unit: "%", range: [0, 80]' in text
    file.write_text(text.replace("# Flow", "Flow"), "utf-8")
    good, is_good = report(file)
    assert is_good, good
    assert await browse(url(tree), *state, "--write", str(file)) == 0
    assert "appended to" in capsys.readouterr().err
    assert report(file)[1]


async def test_server_that_is_not_there_is_told_in_a_line(tree, state, capsys):
    assert await browse(url(tree), *state) == 1
    assert "connection is refused. Is the server running" in capsys.readouterr().err
