"""``edgetwin status``, ``tags`` and ``loop``: ask a running daemon over its control socket."""

import argparse
import getpass
import json
from pathlib import Path

from edgetwin.cli.screens import alarm_lines, status_screen, tags_screen
from edgetwin.cli.state import named_state, only_state
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


def alarm(options: argparse.Namespace) -> int:
    """Show what is not normal, or acknowledge, shelve or unshelve alarms."""
    request = {
        "do": "alarm",
        "name": options.name or "*",
        "action": options.action or "show",
        "span": " ".join(options.span),
        "by": getpass.getuser(),
    }
    answer = control.ask(_state(options), request)
    if options.json:
        print(json.dumps(answer, indent=1))
    else:
        print("\n".join(answer["events"] or alarm_lines(answer["alarms"])))
    return 0


def _state(options: argparse.Namespace) -> Path:
    """The state directory meant: named, or the configuration's, or the only one there is."""
    none = "no edgetwin runs here. Start it with: edgetwin run CONFIG"
    return named_state(options) or only_state(control.NAME, none)
