"""``edgetwin learn``."""

import argparse
import asyncio
import sys
from pathlib import Path

from edgetwin import config
from edgetwin.core.errors import EdgetwinError, ModelError
from edgetwin.core.plan import GatewayPlan
from edgetwin.runtime import logs
from edgetwin.runtime.lessons import Learned, learn_from, learn_live, learners
from edgetwin.storage.recording import RecordingReader


def learn(options: argparse.Namespace) -> int:
    """Learn what is normal and store the models: 0 all learned, 1 not all."""
    plan = config.read(Path(options.config), options.overrides)
    if not learners(plan):
        raise EdgetwinError(
            f"nothing in {options.config} learns. Give an asset 'watch: learned', without a model"
        )
    logs.configure(verbose=options.verbose, quiet=True)
    if options.recording:
        learned = _from_recording(plan, Path(options.recording))
    else:
        learned = asyncio.run(learn_live(plan, lambda text: print(text, flush=True)))
    for each in learned:
        _show(each)
    return 1 if any(isinstance(each.end, ModelError) for each in learned) else 0


def _from_recording(plan: GatewayPlan, path: Path) -> list[Learned]:
    reader = RecordingReader(path)
    recorded = config.compile_text(reader.header.config, reader.header.config_file)
    learned = learn_from(plan, recorded.tags, reader)
    if reader.truncated:
        print(f"{path} is cut off at its end; what is whole was used", file=sys.stderr)
    return learned


def _show(learned: Learned) -> None:
    if isinstance(learned.end, ModelError):
        print(f"{learned.detector}: no model: {learned.end}", file=sys.stderr)
        return
    print(f"{learned.detector}: learned what is normal; the next start watches by it")
    print(f"  tags    {', '.join(learned.tags)}")
    print(f"  model   {learned.end.path}")
    print(f"  sha256  {learned.end.sha256}")
