"""The learning process: ``python -m edgetwin.analysis.learner [ROWS.npz [MODEL.onnx]]``.

Reads rows (``analysis.material``) from a file or standard input, writes an ONNX file to a file or
standard output. Exit code 0: written; 1: the rows cannot be learned, with one sentence on standard
error that says why; 2: wrong use.
"""

import sys
from pathlib import Path

from edgetwin.analysis.material import unpack
from edgetwin.analysis.train import train
from edgetwin.core.errors import ModelError

USAGE = "usage: python -m edgetwin.analysis.learner [ROWS.npz [MODEL.onnx]]"


def main(arguments: list[str]) -> int:
    """Learn once. The arguments are those after the program's name."""
    if len(arguments) > 2 or any(argument.startswith("-") for argument in arguments):
        sys.stderr.write(USAGE + "\n")
        return 2
    try:
        packed = Path(arguments[0]).read_bytes() if arguments else sys.stdin.buffer.read()
        onnx = train(unpack(packed))
        if len(arguments) > 1:
            Path(arguments[1]).write_bytes(onnx)
        else:
            sys.stdout.buffer.write(onnx)
    except (ModelError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
