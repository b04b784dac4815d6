"""Log lines: transitions in one sentence, for a person or for journald."""

import logging
import os
import sys

_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}
_QUIET = ("asyncua", "pymodbus", "asyncio", "paho")


class _Journal(logging.Formatter):
    """journald adds the time itself and reads the priority from ``<N>`` (sd-daemon(3))."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record).replace("\n", "\n ")
        return f"<{_PRIORITY.get(record.levelno, 3)}>{text}"


def configure(*, verbose: bool, quiet: bool = False) -> None:
    """Log to stderr. Libraries speak only when something is wrong: the rest is told by us.

    ``quiet`` leaves out what is well.
    """
    handler = logging.StreamHandler(sys.stderr)
    if "JOURNAL_STREAM" in os.environ:
        handler.setFormatter(_Journal("%(message)s"))
    else:
        form = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
        handler.setFormatter(form)
    usual = logging.WARNING if quiet else logging.INFO
    logging.basicConfig(level=logging.DEBUG if verbose else usual, handlers=[handler])
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
