"""The commands. Each imports what it needs when it runs, so that ``--help`` answers at once."""

import argparse
import difflib
import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from edgetwin.core.errors import ConfigError, EdgetwinError

_COMMANDS = {
    "run": ("CONFIG", "run the gateway"),
    "check": ("CONFIG", "say everything that is wrong with a configuration"),
    "plan": ("CONFIG", "every request it will send, and what it costs"),
    "export": ("CONFIG", "the twin described for others: WoT, DTDL, AAS, Ditto, AsyncAPI"),
    "browse": ("URL", "what an OPC UA server has; tags for a configuration"),
    "trust": ("[NAME]", "which servers' certificates wait, and let one in"),
    "scan": ("ADDRESS", "which Modbus units answer, and with what"),
    "probe": ("ADDRESS WHERE", "what some registers could mean: every type and order"),
    "status": ("[CONFIG]", "how a running gateway is"),
    "tags": ("[PATTERN]", "every value: quality, times, age"),
    "loop": ("NAME MODE", "set a loop to off, shadow or auto"),
    "alarm": ("[NAME DO]", "what is not normal; acknowledge, shelve 1 h, unshelve"),
    "learn": ("CONFIG", "learn what is normal, without control or upstream"),
    "replay": ("RECORDING", "run a recording again and compare every frame"),
}
_LIST = "\n".join(f"  edgetwin {n:<7}{takes:<15}{text}" for n, (takes, text) in _COMMANDS.items())
_OUTLINE = f"""\
The gateway beside the machine.

{_LIST}

More about one of them: edgetwin COMMAND --help
"""


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with the words on the command line."""

    def error(self, message: str) -> NoReturn:
        """One sentence and where to read on, exit code 2."""
        end = "" if message.endswith("?") else "."
        sys.stderr.write(f"{self.prog}: {message}{end} See: {self.prog} --help\n")
        sys.exit(2)


class _Version(argparse.Action):
    """Looks the version up only when it is asked for: that takes 20 ms."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Print it and end."""
        from importlib.metadata import version  # noqa: PLC0415 - see the docstring

        print(f"edgetwin {version('edgetwin')}")
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit codes: 0 done, 1 findings or failure, 2 usage, 78 configuration."""
    options = _parse(list(sys.argv[1:] if arguments is None else arguments))
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


def _parse(words: list[str]) -> argparse.Namespace:
    parser = _parser()
    if not words:
        parser.error("a command is missing")
    if not words[0].startswith("-") and words[0] not in _COMMANDS:
        near = difflib.get_close_matches(words[0], _COMMANDS, 1)
        meant = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(_COMMANDS)}"
        parser.error(f"'{words[0]}' is no command. {meant}")
    return parser.parse_args(words)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="edgetwin",
        usage="edgetwin COMMAND …",
        description=_OUTLINE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show which edgetwin this is")
    commands = parser.add_subparsers(
        dest="command", required=True, prog="edgetwin", help=argparse.SUPPRESS, metavar="COMMAND"
    )
    run = _configured(commands, "run", "run")
    run.add_argument("--uvloop", action="store_true", help="on uvloop, a faster event loop")
    _configured(commands, "check", "check")
    _configured(commands, "plan", "plan")
    export = _configured(commands, "export", "export")
    formats = ("td", "dtdl", "aas", "ditto", "asyncapi")
    export.add_argument("--format", choices=formats, default="td", help="which (%(default)s)")
    _asking(commands)
    _opcua(commands)
    _modbus(commands)
    learn = _configured(commands, "learn", "learn")
    learn.add_argument("--from", dest="recording", help="learn from a recording, not live")
    replay = _command(commands, "replay", "replay")
    replay.add_argument("recording", help="a .frames file; they lie in STATE/recordings")
    replay.add_argument("--json", action="store_true", help="for programs")
    return parser


def _asking(commands: "argparse._SubParsersAction[_Parser]") -> None:
    status = _command(commands, "status", "ask")
    tags = _command(commands, "tags", "ask")
    tags.add_argument("pattern", nargs="?", default="*", help="such as 'pump/*'")
    loop = _command(commands, "loop", "ask")
    loop.add_argument("name", help="the loop's name")
    loop.add_argument("mode", choices=("off", "shadow", "auto"))
    alarm = _command(commands, "alarm", "ask")
    alarm.add_argument("name", nargs="?", help="such as skid/pressure.high, or 'skid/*'")
    alarm.add_argument("action", nargs="?", choices=("ack", "shelve", "unshelve"))
    alarm.add_argument("span", nargs="*", help="how long it stays on the shelf, such as 1 h")
    for command in (status, tags, loop, alarm):
        command.add_argument("--json", action="store_true", help="for programs")
        _of_a_gateway(command)
    status.add_argument("config_file", nargs="?", metavar="CONFIG", help="same as --config")


def _of_a_gateway(command: argparse.ArgumentParser) -> None:
    command.add_argument("--state", metavar="DIR", help="the daemon's state directory")
    command.add_argument("--config", metavar="FILE", help="or the configuration it runs")


def _opcua(commands: "argparse._SubParsersAction[_Parser]") -> None:
    browse = _command(commands, "browse", "browse")
    browse.add_argument("url", metavar="URL", help="such as opc.tcp://192.168.1.20:4840")
    browse.add_argument("--filter", default="", metavar="TEXT", help="only what has it in its name")
    browse.add_argument("--all", action="store_true", help="the server's own nodes too")
    browse.add_argument("--tags", action="store_true", help="print tags for a configuration")
    browse.add_argument("--write", metavar="FILE", help="append these tags to it, as comments")
    browse.add_argument(
        "--security", default="sign and encrypt", choices=("sign and encrypt", "sign", "none")
    )
    browse.add_argument("--user", help="the user to log in as")
    browse.add_argument("--password-file", metavar="FILE", help="that holds the user's password")
    browse.add_argument("--user-certificate", metavar="FILE", help="to log in with instead")
    browse.add_argument("--user-key", metavar="FILE", help="the key of that certificate")
    _of_a_gateway(browse)
    trust = _command(commands, "trust", "trust")
    trust.add_argument("name", nargs="?", metavar="NAME", help="its thumbprint, or part of it")
    _of_a_gateway(trust)


def _modbus(commands: "argparse._SubParsersAction[_Parser]") -> None:
    scan = _command(commands, "scan", "inquire")
    probe = _command(commands, "probe", "inquire")
    place = "192.168.1.10, tls://…, rtu+tcp://host:port, or /dev/ttyUSB0"
    for command, timeout, pause in ((scan, "300 ms", "20 ms"), (probe, "1 s", "250 ms")):
        command.add_argument("address", metavar="ADDRESS", help=f"such as {place}")
        command.add_argument("--timeout", default=timeout, help="for each answer (%(default)s)")
        command.add_argument("--pause", default=pause, help="between requests (%(default)s)")
        command.add_argument("--baud", type=int, default=19200, help="of a serial line")
        command.add_argument("--parity", default="even", choices=("even", "odd", "none"))
    scan.add_argument("--units", default="1-247", help="such as 1-10 (%(default)s)")
    scan.add_argument("--at", default="", metavar="PLACES", help="where to look: 4x0001,3x1000")
    scan.add_argument("--deep", action="store_true", help="ask silent units by all functions")
    probe.add_argument("where", metavar="WHERE", help="such as 4x0001, or 4x0001-4x0020")
    probe.add_argument("--unit", default="1", help="the unit id (%(default)s)")
    probe.add_argument("--looks", type=int, default=5, help="how often to look (%(default)s)")


def _command(
    commands: "argparse._SubParsersAction[_Parser]",
    name: str,
    module: str,
) -> argparse.ArgumentParser:
    text = _COMMANDS[name][1]
    command = commands.add_parser(name, description=f"{text[0].upper()}{text[1:]}.")
    command.set_defaults(module=module)
    return command


def _configured(
    commands: "argparse._SubParsersAction[_Parser]",
    name: str,
    module: str,
) -> argparse.ArgumentParser:
    command = _command(commands, name, module)
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
