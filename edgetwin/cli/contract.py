"""``python -m edgetwin.cli.contract docs/contract``: the committed contract, written anew.

A test compares. What is in it is declared in edgetwin/core/contract.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from edgetwin.core.contract.asyncapi import document
from edgetwin.core.contract.kinds import MESSAGES
from edgetwin.core.contract.schema import schema
from edgetwin.core.contract.yamltext import yaml_text


def files() -> Mapping[str, str]:
    """Each file's text, by its path below the folder."""
    schemas = {f"schemas/{suffix}.json": schema(of) for suffix, of in MESSAGES.items()}
    texts = {
        path: json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        for path, content in schemas.items()
    }
    return {"asyncapi.yaml": yaml_text(document()), **texts}


def main(folder: Path) -> None:
    """Write them."""
    for path, text in files().items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
