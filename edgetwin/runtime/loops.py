"""The event loop a daemon runs on: asyncio's own, or uvloop where it is asked for.

uvloop (the extra ``edgetwin[uvloop]``) takes less time for each wake-up and each request; all that
is promised holds without it.
"""

import asyncio
import importlib
from collections.abc import Coroutine
from typing import Any

from edgetwin.core.errors import EdgetwinError


def run(main: Coroutine[Any, Any, None], *, on_uvloop: bool = False) -> None:
    """Run until ``main`` ends.

    Raises:
        EdgetwinError: uvloop is asked for and not installed.
    """
    if not on_uvloop:
        asyncio.run(main)
        return
    try:
        uvloop = importlib.import_module("uvloop")
    except ImportError as error:
        main.close()
        raise EdgetwinError(
            "uvloop is not installed. Run without --uvloop, or: pip install 'edgetwin[uvloop]'"
        ) from error
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)
