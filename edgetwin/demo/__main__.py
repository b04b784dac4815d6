"""``python -m edgetwin.demo``: the main job on a simulated pump skid, told as it happens."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from edgetwin.demo.narrator import Narrator, NotSeen
from edgetwin.demo.pace import FAST_S, USUAL_S, Pace
from edgetwin.demo.stage import Stage
from edgetwin.demo.story import Story

CONFIG = Path(__file__).parents[2] / "config" / "pump-skid.yaml"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="demo",
        description="A simulated pump skid, a broker and the real edgetwin, on this machine only. "
        "Exit code 0: everything the story promises was seen.",
    )
    parser.add_argument(
        "--for",
        dest="seconds",
        type=float,
        default=USUAL_S,
        help=f"about how long it takes, from {FAST_S:g} s on (default {USUAL_S:g})",
    )
    parser.add_argument(
        "--fast",
        dest="seconds",
        action="store_const",
        const=FAST_S,
        help=f"the same as --for {FAST_S:g}: a plant that runs faster than life",
    )
    parser.add_argument(
        "--keep", action="store_true", help="afterwards keep plant and daemon running until Ctrl-C"
    )
    parser.add_argument(
        "--messages", type=Path, metavar="FILE", help="keep every message as a line of this file"
    )
    parser.add_argument("--config", type=Path, default=CONFIG, help=argparse.SUPPRESS)
    return parser


async def _demo(asked: argparse.Namespace, narrator: Narrator) -> int:
    """Set the stage, tell the story. The exit code."""
    narrator.title(f"edgetwin demo: a simulated pump skid, the real daemon, {asked.config.name}")
    narrator.plain(
        f"Nothing leaves this machine. It ends by itself in about {asked.seconds:.0f} s; "
        f"Ctrl-C ends it sooner."
    )
    pace = Pace.within(asked.seconds)
    narrator.chapter("Start")
    narrator.deed("we start plant, meter, broker and daemon, each a process of its own")
    async with Stage(asked.config, pace, asked.messages) as stage:
        try:
            await Story(stage, narrator, pace).tell(keep=asked.keep)
        except NotSeen as promise:
            narrator.failed(f"{promise}. The daemon's log ends with:", stage.gateway.last_words)
            return 1
        if asked.keep:
            narrator.plain(f"\nIt runs on: edgetwin status --state {stage.gateway.state}")
            await asyncio.Event().wait()  # until Ctrl-C
    return 0


async def _until_told(asked: argparse.Namespace, narrator: Narrator) -> int:
    """The demo; the first Ctrl-C or SIGTERM ends it, later ones do not disturb the clearing up."""
    loop, story = asyncio.get_running_loop(), asyncio.current_task()
    assert story  # noqa: S101 - a coroutine runs in a task

    def end() -> None:
        for number in SIGNALS:
            loop.add_signal_handler(number, lambda: None)
        story.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, end)
    return await _demo(asked, narrator)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo. 0: everything was seen; 1: something was not; 130: ended by Ctrl-C."""
    parser = _parser()
    asked = parser.parse_args(argv)
    narrator = Narrator()
    try:
        return asyncio.run(_until_told(asked, narrator))
    except ValueError as error:
        parser.error(str(error))
    except asyncio.CancelledError:
        narrator.plain("\nEnded; nothing is left running.")
        return INTERRUPTED
    except (RuntimeError, OSError) as error:
        narrator.failed(f"everything starts ({error})")
        return 1


if __name__ == "__main__":
    sys.exit(main())
