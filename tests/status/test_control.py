"""The control socket answers people and withstands the rest."""

import asyncio
import json
import os

import pytest

from edgetwin.core.errors import EdgetwinError
from edgetwin.status.control import NAME, ControlServer, NotRunning, ask


def handler(request):
    if request.get("do") == "fail":
        raise EdgetwinError("not today: the valve is shut")
    return {"echo": request}


@pytest.fixture
async def server(tmp_path):
    deep = tmp_path / ("a" * 60) / ("b" * 60)
    deep.mkdir(parents=True)
    server = ControlServer(deep, handler)
    await server.start()
    yield deep
    await server.close()


async def test_a_request_is_answered_however_deep_the_state_directory(server):
    assert await asyncio.to_thread(ask, server, {"do": "x"}) == {"echo": {"do": "x"}}


async def test_only_the_owner_may_connect(server):
    assert os.stat(server / NAME).st_mode & 0o777 == 0o600


async def test_a_refusal_comes_back_in_the_daemon_s_words(server):
    with pytest.raises(EdgetwinError, match="the valve is shut"):
        await asyncio.to_thread(ask, server, {"do": "fail"})


@pytest.mark.parametrize(
    "line",
    [b"\n", b"nonsense\n", b"[1]\n", b"[" * 50_000 + b"\n", b"x" * 200_000 + b"\n", b"\xff\xfe\n"],
    ids=["empty", "text", "list", "nested", "long", "bytes"],
)
async def test_odd_lines_get_an_error_and_the_server_goes_on(server, line):
    descriptor = os.open(server, os.O_PATH | os.O_DIRECTORY)
    reader, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{descriptor}/{NAME}")
    os.close(descriptor)
    writer.write(line)
    answer = json.loads(await asyncio.wait_for(reader.readline(), 5))
    writer.close()
    assert "error" in answer
    assert await asyncio.to_thread(ask, server, {"still": 1}) == {"echo": {"still": 1}}


def test_without_a_daemon_the_message_says_how_to_start_one(tmp_path):
    with pytest.raises(NotRunning, match="edgetwin run CONFIG"):
        ask(tmp_path, {"do": "status"})
