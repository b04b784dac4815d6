"""``edgetwin replay``."""

import argparse
import json
from pathlib import Path

from edgetwin.analysis.onnx import load_scorer
from edgetwin.config import compile_text
from edgetwin.runtime.replay import Outcome
from edgetwin.runtime.replay import replay as run
from edgetwin.storage.recording import RecordingReader


def replay(options: argparse.Namespace) -> int:
    """Run a recording again and compare every frame: 0 identical, 1 not."""
    reader = RecordingReader(Path(options.recording))
    plan = compile_text(reader.header.config, reader.header.config_file)
    outcome = run(reader, plan, load_scorer)
    print(json.dumps(outcome.as_dict(), indent=1) if options.json else _screen(outcome))
    return 0 if outcome.identical else 1


def _screen(o: Outcome) -> str:
    cut = ", cut off at its end" if o.truncated else ""
    counts = ", ".join(f"{o.counts[k]} {k}" for k in ("writes", "events", "summaries"))
    lines = [
        f"replayed  {o.frames} frames, {o.readings} readings, {o.seconds:.1f} s{cut}",
        f"gave      {counts}",
        f"writes    sha256 {o.writes.hexdigest()}",
        f"verdicts  sha256 {o.verdicts.hexdigest()}",
        f"summaries sha256 {o.summaries.hexdigest()}",
    ]
    if o.identical:
        return "\n".join([*lines, "Every frame came out as it was recorded, bit for bit."])
    return "\n".join([*lines, f"{o.different} frames came out differently:", *o.differences])
