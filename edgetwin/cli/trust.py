"""``edgetwin trust``: the servers' certificates that wait for a person, and letting one in."""

import argparse
from pathlib import Path

from edgetwin.cli.state import named_state, only_state
from edgetwin.core.errors import EdgetwinError
from edgetwin.devices.opcua.pki import load_certificate
from edgetwin.devices.opcua.trusted import Waiting, admit, facts, waiting
from edgetwin.runtime import clock

_NONE = "no edgetwin has met an OPC UA server here. Say where: --config FILE or --state DIR"


def trust(options: argparse.Namespace) -> int:
    """Show what waits, or trust what NAME fits: 0 done, 1 nothing or more than one fits."""
    pki = (named_state(options) or only_state("pki", _NONE)) / "pki"
    if options.name is None:
        print(_screen(pki))
        return 0
    found = admit(pki, options.name)
    if not found:
        raise EdgetwinError(f"no certificate that waits fits '{options.name}'. See: edgetwin trust")
    if len(found) > 1:
        print("\n".join(f"{each.thumbprint}  {each.subject}" for each in found))
        raise EdgetwinError(f"'{options.name}' fits {len(found)}. Write more of the thumbprint")
    print(f"trusted: {found[0].subject}, thumbprint {found[0].thumbprint}")
    print("The gateway uses it when it tries the server next; it needs no restart.")
    return 0


def _screen(pki: Path) -> str:
    rejected = waiting(pki)
    lines: list[str] = []
    for each in rejected:
        lines += [*_lines(each), ""]
    if rejected:
        lines.append("If a thumbprint is the one that the server itself shows:")
        lines.append(f"  edgetwin trust {rejected[0].thumbprint[:8]}")
    else:
        lines.append("No server's certificate waits.")
    return "\n".join([*lines, *_own(pki / "own")])


def _lines(each: Waiting) -> list[str]:
    issuer = "itself" if each.issuer == each.subject else each.issuer
    return [
        each.subject,
        f"  thumbprint  {each.thumbprint}",
        f"  SHA-256     {each.sha256}",
        f"  issued by   {issuer}",
        f"  valid       {each.start:%Y-%m-%d %H:%M} to {each.end:%Y-%m-%d %H:%M} UTC{_now(each)}",
        f"  made for    {', '.join(each.names) or 'nobody by name'}",
    ]


def _now(each: Waiting) -> str:
    """What is wrong with its time, by our clock."""
    wall = clock.now().wall / 1e9
    if wall > each.end.timestamp():
        return " (expired, by our clock)"
    return " (not yet, by our clock)" if wall < each.start.timestamp() else ""


def _own(folder: Path) -> list[str]:
    """Our own certificates: what a server's trust list needs."""
    lines: list[str] = []
    for name, what in (("cert.der", "Our own certificate"), ("next.der", "Its successor")):
        certificate = load_certificate(folder / name)
        if certificate is not None:
            own = facts(folder / name, certificate)
            lines += ["", f"{what}, for the servers' trust lists: {own.file}", *_lines(own)[1:5:3]]
    return lines
