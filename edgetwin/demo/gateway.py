"""The real daemon as the demo runs it: a process of its own, asked only over its control socket."""

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

from edgetwin.core.errors import EdgetwinError
from edgetwin.status import control

Status: TypeAlias = dict[str, Any]

STOP_S = 10.0  # the daemon promises to be gone by then
LOOK_S = 0.2
COMMAND_S = 10.0


class Gateway:
    """``python -m edgetwin run CONFIG --set …`` on a state directory."""

    def __init__(self, config: Path, state: Path) -> None:
        """Nothing is started yet. Its log goes to ``state/daemon.log``."""
        self.state = state
        self.log = state / "daemon.log"
        self._config = config
        self._process: Process | None = None
        self._asked = asyncio.Event()

    async def start(self, options: Iterable[str]) -> None:
        """Start it with some options of the configuration overridden (``path=value``)."""
        overrides = [word for option in options for word in ("--set", option)]
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "edgetwin", "run", str(self._config), *overrides),
                stdout=log,
                stderr=STDOUT,
                start_new_session=True,
            )

    async def status(self) -> Status | None:
        """What ``edgetwin status --json`` shows; None while nobody answers."""
        try:
            return await asyncio.to_thread(control.ask, self.state, {"do": "status"})
        except (EdgetwinError, OSError):
            return None

    async def until(self, fact: Callable[[Status], bool], seconds: float) -> Status | None:
        """Look at the status until a fact holds. None: it did not within that time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not ((status := await self.status()) and fact(status)):
            if loop.time() > deadline:
                return None
            await asyncio.sleep(LOOK_S)  # a status is asked for; it does not announce itself
        return status

    async def command(self, *words: str) -> tuple[int, str]:
        """``edgetwin WORDS`` on this state directory: its exit code and what it printed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edgetwin", *words, "--state", str(self.state)),
            stdout=PIPE,
            stderr=STDOUT,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(COMMAND_S):
                printed, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            return await process.wait(), f"no answer within {COMMAND_S:g} s"
        return process.returncode or 0, printed.decode().strip()

    async def stop(self) -> int:
        """SIGTERM, as systemd would. Its exit code; -9 if it had to be killed."""
        self._asked.set()
        process = self._process
        if process is None:
            return 0
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                return await process.wait()
        except TimeoutError:
            process.kill()
            return await process.wait()

    async def died(self) -> int:
        """Wait until it ends without being asked to. Its exit code."""
        if self._process is None:
            raise RuntimeError("the daemon was never started")
        code = await self._process.wait()
        if self._asked.is_set():
            await asyncio.Event().wait()  # it ended as it should: there is nothing to tell
        return code

    @property
    def last_words(self) -> list[str]:
        """The end of its log."""
        try:
            return self.log.read_text(errors="replace").splitlines()[-10:]
        except OSError:
            return []
