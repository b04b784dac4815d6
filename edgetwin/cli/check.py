"""``edgetwin check``."""

import argparse
import sys
from pathlib import Path

from edgetwin.config.check import report


def check(options: argparse.Namespace) -> int:
    """Say everything that is wrong with a configuration, or what it will do. Opens nothing."""
    text, good = report(Path(options.config), options.overrides)
    print(text, file=sys.stdout if good else sys.stderr)
    return 0 if good else 78
