"""Have a model learned in a process of its own, so that control never waits for it.

The process runs at low priority on one thread; it is stopped when the deadline passes, or when
whoever asked is cancelled.
"""

import asyncio
import os
import sys
from contextlib import suppress

from edgetwin.analysis.material import Material, pack
from edgetwin.core.errors import ModelError

DEADLINE_S = 120.0
NICENESS = 10
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


async def learn(material: Material, deadline_s: float = DEADLINE_S) -> bytes:
    """The bytes of an ONNX file learned from this material.

    Raises:
        ModelError: the rows cannot be learned, or it took too long; the message says why.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # never import from the folder that the daemon happens to stand in
        "-m",
        "edgetwin.analysis.learner",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **_ONE_THREAD},
    )
    try:
        with suppress(OSError):  # it may have ended, or a container may forbid it
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        async with asyncio.timeout(deadline_s):
            onnx, complaint = await process.communicate(pack(material))
    except TimeoutError as error:
        raise ModelError(
            f"learning from {len(material.rows)} rows took more than {deadline_s:g} s and was "
            "stopped; the machine is overloaded, or there are too many tags in one detector"
        ) from error
    finally:
        await _end(process)
    if process.returncode != 0 or not onnx:
        said = complaint.decode(errors="replace").strip().rsplit("\n", maxsplit=1)[-1]
        reason = said or f"the learning process ended with code {process.returncode}"
        raise ModelError(f"learning failed: {reason}")
    return onnx


async def _end(process: asyncio.subprocess.Process) -> None:
    """Leave nothing behind; a killed process is gone at once, so the wait is short."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await process.communicate()
