"""Which state directory a command means: the one named, the configuration's, or the only one."""

import argparse
import os
from pathlib import Path

from edgetwin.core.errors import EdgetwinError

_SYSTEM = Path("/var/lib/edgetwin")


def named_state(options: argparse.Namespace) -> Path | None:
    """The directory that the options name, if they do."""
    if options.state:
        return Path(options.state)
    if options.config:
        from edgetwin import config  # noqa: PLC0415 (costs 100 ms, needed here only)

        return config.read(Path(options.config)).state
    return None


def only_state(sign: str, none: str) -> Path:
    """The only directory in which ``sign`` lies; ``none`` is told where there is none.

    Raises:
        EdgetwinError: there is none, or there are several.
    """
    here = sorted(path.parent for path in root().glob(f"*/{sign}"))
    if (_SYSTEM / sign).exists():
        here.append(_SYSTEM)
    if len(here) == 1:
        return here[0]
    if not here:
        raise EdgetwinError(none)
    names = ", ".join(path.name for path in here)
    raise EdgetwinError(
        f"there are several edgetwin here ({names}). Say which: --config FILE or --state DIR"
    )


def root() -> Path:
    """Where the state of each gateway of this user lies."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "edgetwin"
