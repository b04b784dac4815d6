"""One member of the group "ledger": keeps what it takes in a file, and acknowledges it only then.

    member.py FILE URL [URL ...]

A line of the file is: UTC ms of arrival, topic, payload. The file stands for the database that a
member has in earnest; ``read_kept`` is the way back. SIGTERM ends it; SIGKILL costs nothing either.
"""

import asyncio
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from edgetwin.fleet.group import GroupLost, Member, Taken

GROUP, TOPICS = "ledger", "edgetwin/#"
_BATCH = 200
_WAIT_S = 1.0


async def keep(member: Member, file: BinaryIO) -> None:
    """Take, keep, acknowledge; for ever."""
    while True:
        try:
            taken = await member.take(_BATCH, _WAIT_S)
        except GroupLost as lost:
            print(lost, file=sys.stderr)
            await asyncio.sleep(0.2)
            continue
        write(file, taken)
        for each in taken:
            await each.done()


def write(file: BinaryIO, taken: list[Taken]) -> None:
    """Lines behind the file's end. A payload is one line of JSON, so it can stand as it is."""
    now = time.time_ns() // 1_000_000
    for each in taken:
        file.write(b"%d %s %s\n" % (now, each.topic.encode(), each.payload))
    file.flush()


def read_kept(path: Path) -> Iterator[tuple[int, str, bytes]]:
    """What a member kept: ms, topic, payload. A last line that a kill cut off is left out."""
    for line in path.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            at, topic, content = line[:-1].split(b" ", 2)
            yield int(at), topic.decode(), content


async def main(path: Path, servers: list[str]) -> None:
    """Join, and keep until told to end."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    if task:
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
    with path.open("ab") as file:
        async with Member.join(servers, GROUP, TOPICS) as member:
            await member.prepare()
            print("ready", flush=True)
            await keep(member, file)


if __name__ == "__main__":
    try:
        asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
    except asyncio.CancelledError:
        sys.exit(0)
