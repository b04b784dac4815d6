"""``edgetwin browse``: what an OPC UA server has, and tags of a configuration made from it."""

import argparse
import asyncio
import fnmatch
import gc
import logging
import sys
from pathlib import Path

from edgetwin.cli.found_tags import device_lines, new_file
from edgetwin.cli.state import named_state, root
from edgetwin.cli.tree import tree_lines
from edgetwin.core.errors import EdgetwinError
from edgetwin.core.plan import SECOND, OpcuaSettings, Security
from edgetwin.devices.opcua.branch import Branch
from edgetwin.devices.opcua.browse import MOST_READS
from edgetwin.devices.opcua.browse import browse as walk
from edgetwin.devices.opcua.session import SessionRefused, open_session
from edgetwin.runtime import clock

_ANSWER_S = 5


def browse(options: argparse.Namespace) -> int:
    """Print the tree, or the tags of a configuration: 0 something was found, 1 nothing was."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    settings = _settings(options)
    gc.disable()  # a hundred thousand small objects, all of which stay: a fifth of the time
    root = asyncio.run(_look(settings, everything=options.all))
    found = [each for each in root.walk() if each.path and _fits(each, options.filter)]
    variables = [each for each in found if each.kind == "variable"]
    if options.write:
        _append(Path(options.write), variables, settings)
    elif options.tags:
        print("\n".join(device_lines(variables, settings)))
    else:
        print("\n".join(tree_lines(settings.url, found)))
    return 0 if found else 1


def _settings(options: argparse.Namespace) -> OpcuaSettings:
    if not options.url.startswith("opc.tcp://"):
        raise EdgetwinError(
            f"'{options.url}' does not begin with opc.tcp://. Write opc.tcp://192.168.1.20:4840"
        )
    return OpcuaSettings(
        url=options.url,
        security=Security(options.security),
        user=options.user or "",
        password_file=_path(options.password_file),
        user_certificate=_path(options.user_certificate),
        user_key=_path(options.user_key),
        pki=(named_state(options) or root() / "browse") / "pki",
        timeout=_ANSWER_S * SECOND,
    )


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


async def _look(settings: OpcuaSettings, *, everything: bool) -> Branch:
    if settings.security is Security.NONE:
        print("security none: anybody on the way can read and change what is sent", file=sys.stderr)
    try:
        session = await open_session(settings, clock.now, MOST_READS)
    except SessionRefused as refused:
        raise EdgetwinError(f"{settings.url}: {refused}") from refused
    try:
        return await walk(session.client, everything=everything)
    except Exception as error:  # asyncua raises whatever a server's bytes provoke
        why = f"no answer within {_ANSWER_S} s" if isinstance(error, TimeoutError) else str(error)
        why = session.client.refusal or why or repr(error)
        raise EdgetwinError(f"{settings.url}: it was reached, and then: {why}") from error
    finally:
        await session.close()


def _fits(branch: Branch, pattern: str) -> bool:
    """Whether a name on the way to it, or its address, has the pattern in it, in any case."""
    pattern = pattern.lower() if "*" in pattern else f"*{pattern.lower()}*"
    texts = ("/".join(branch.path).lower(), branch.at.lower())
    return any(fnmatch.fnmatchcase(text, pattern) for text in texts)


def _append(file: Path, variables: list[Branch], settings: OpcuaSettings) -> None:
    is_new = not file.exists()
    lines = new_file(variables, settings) if is_new else ["", *device_lines(variables, settings)]
    with file.open("a", encoding="utf-8") as out:
        out.write("\n".join(lines) + "\n")
    where = "written to" if is_new else "appended to"
    print(
        f"{len(variables)} tags {where} {file}, as comments. Remove the '# ' before those you "
        f"want, then: edgetwin check {file}",
        file=sys.stderr,
    )
