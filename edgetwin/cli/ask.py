"""``edgetwin status``, ``tags`` and ``loop``: ask a running daemon over its control socket."""

import argparse
import getpass
import json
import os
from pathlib import Path
from typing import Any

from edgetwin.cli.screens import status_screen, tags_screen
from edgetwin.core.errors import EdgetwinError
from edgetwin.status import control


def status(options: argparse.Namespace) -> int:
    """Show how the gateway is."""
    options.config = options.config or options.config_file
    answer = control.ask(_state(options), {"do": "status"})
    print(json.dumps(answer, indent=1) if options.json else status_screen(answer))
    return 0


def tags(options: argparse.Namespace) -> int:
    """Show values."""
    answer = control.ask(_state(options), {"do": "tags", "pattern": options.pattern})
    print(json.dumps(answer, indent=1) if options.json else tags_screen(answer))
    return 0


def loop(options: argparse.Namespace) -> int:
    """Set a loop's mode."""
    request = {"do": "mode", "loop": options.name, "mode": options.mode, "by": getpass.getuser()}
    answer = control.ask(_state(options), request)
    if options.json:
        print(json.dumps(answer, indent=1))
    else:
        print("\n".join([*answer["events"], f"{answer['loop']}: {answer['state']}"]))
    return 0 if answer["mode"] == options.mode else 1


def _state(options: argparse.Namespace) -> Path:
    """The state directory meant: named, or the configuration's, or the only one there is."""
    if options.state:
        return Path(options.state)
    if options.config:
        from edgetwin import config  # noqa: PLC0415 (costs 100 ms, needed here only)

        return config.read(Path(options.config)).state
    return _only(_root())


def _root() -> Path:
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "edgetwin"


def _only(root: Path) -> Path:
    here = sorted(path.parent for path in root.glob(f"*/{control.NAME}"))
    system = Path("/var/lib/edgetwin")
    if (system / control.NAME).exists():
        here.append(system)
    if len(here) == 1:
        return here[0]
    if not here:
        raise EdgetwinError("no edgetwin runs here. Start it with: edgetwin run CONFIG")
    known: list[Any] = [path.name for path in here]
    raise EdgetwinError(
        f"several edgetwin run here ({', '.join(known)}). Say which: --config FILE or --state DIR"
    )
