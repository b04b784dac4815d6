"""The commands. Each imports what it needs when it runs, so that ``--help`` answers at once."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from edgetwin.core.errors import ConfigError, EdgetwinError

_USAGE = """\
edgetwin run CONFIG          run the gateway
edgetwin check CONFIG        say everything that is wrong with a configuration
edgetwin status [CONFIG]     how a running gateway is
edgetwin tags [PATTERN]      every value: quality, times, age
edgetwin loop NAME MODE      set a loop to off, shadow or auto
edgetwin learn CONFIG        learn what is normal, without control or upstream
edgetwin replay RECORDING    run a recording again and compare every frame
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit codes: 0 done, 1 findings or failure, 2 usage, 78 configuration."""
    options = _parser().parse_args(arguments)
    command = importlib.import_module(f"edgetwin.cli.{options.module}")
    try:
        code: int = getattr(command, options.command)(options)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 78
    except EdgetwinError as error:
        print(f"edgetwin: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader, such as 'head', has seen enough
        sys.stderr.close()
        return 0
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edgetwin",
        usage=_USAGE,
        description="The gateway beside the machine.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _configured(commands, "run", "run", "run the gateway")
    _configured(commands, "check", "check", "say everything that is wrong with a configuration")
    _asking(commands)
    learn = _configured(commands, "learn", "learn", "learn what is normal, without control")
    learn.add_argument("--from", dest="recording", help="learn from a recording, not live")
    replay = _command(commands, "replay", "replay", "run a recording again, compare every frame")
    replay.add_argument("recording", help="a .frames file; they lie in STATE/recordings")
    replay.add_argument("--json", action="store_true", help="for programs")
    return parser


def _asking(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    status = _command(commands, "status", "ask", "how a running gateway is")
    tags = _command(commands, "tags", "ask", "every value: quality, times, age")
    tags.add_argument("pattern", nargs="?", default="*", help="such as 'pump/*'")
    loop = _command(commands, "loop", "ask", "set a loop to off, shadow or auto")
    loop.add_argument("name", help="the loop's name")
    loop.add_argument("mode", choices=("off", "shadow", "auto"))
    for command in (status, tags, loop):
        command.add_argument("--json", action="store_true", help="for programs")
        command.add_argument("--state", metavar="DIR", help="the daemon's state directory")
        command.add_argument("--config", metavar="FILE", help="or the configuration it runs")
    status.add_argument("config_file", nargs="?", metavar="CONFIG", help="same as --config")


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    module: str,
    text: str,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text)
    command.set_defaults(module=module)
    return command


def _configured(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    module: str,
    text: str,
) -> argparse.ArgumentParser:
    command = _command(commands, name, module, text)
    command.add_argument("config", help="the configuration, a YAML file")
    command.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="override one option, such as devices.skid.address=10.0.0.7",
    )
    command.add_argument("-v", "--verbose", action="store_true", help="log more")
    return command


def _version() -> str:
    from importlib.metadata import version  # noqa: PLC0415 (costs 20 ms, needed for --version only)

    return f"edgetwin {version('edgetwin')}"
