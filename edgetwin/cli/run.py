"""``edgetwin run``."""

import argparse
from pathlib import Path

from edgetwin import config
from edgetwin.core.plan import GatewayPlan
from edgetwin.runtime import logs, loops
from edgetwin.runtime.daemon import Daemon


def run(options: argparse.Namespace) -> int:
    """Run the gateway until SIGTERM or Ctrl-C."""
    plan = config.read(Path(options.config), options.overrides)
    logs.configure(verbose=options.verbose)
    loops.run(_run(plan), on_uvloop=options.uvloop)
    return 0


async def _run(plan: GatewayPlan) -> None:
    await Daemon(plan).run()
