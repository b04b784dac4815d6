"""The whole file to the plan."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgetwin.config.compile.alarms import compile_alarms
from edgetwin.config.compile.assets import compile_assets
from edgetwin.config.compile.challenger import compile_challengers
from edgetwin.config.compile.classes import compile_classes
from edgetwin.config.compile.devices import compile_devices
from edgetwin.config.compile.draft import Draft
from edgetwin.config.compile.elements import with_elements
from edgetwin.config.compile.loops import compile_loops
from edgetwin.config.compile.requests import compile_requests
from edgetwin.config.compile.topics import levels
from edgetwin.config.compile.upstreams import compile_upstreams
from edgetwin.config.load import MAX_BYTES, load
from edgetwin.config.override import apply, embed, extract
from edgetwin.config.problem import ConfigErrors, Problem, Problems
from edgetwin.config.schema.gateway import Gateway
from edgetwin.config.walk import walk
from edgetwin.core.plan import GatewayPlan
from edgetwin.core.tags import TagTable


def read(path: Path, overrides: Sequence[str] = ()) -> GatewayPlan:
    """The plan of a configuration file.

    Args:
        path: the YAML file.
        overrides: ``devices.skid.address=127.0.0.1:15020`` and the like, applied on top.

    Raises:
        ConfigErrors: everything that is wrong with it.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        text = raw.decode("utf-8-sig", "strict" if len(raw) <= MAX_BYTES else "replace")
    except OSError as error:
        cause = f"cannot be read: {error.strerror or error}. Name the configuration's YAML file"
        raise ConfigErrors([Problem(str(path), 1, 1, cause)]) from error
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        cause = "this is not UTF-8. Save the file as UTF-8"
        raise ConfigErrors([Problem(str(path), line, column, cause)]) from error
    return compile_text(text, str(path), overrides, path.parent)


def compile_text(
    text: str,
    source: str,
    overrides: Sequence[str] = (),
    base: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> GatewayPlan:
    """The plan of a configuration's text.

    Args:
        text: YAML, perhaps with overrides embedded in it (``GatewayPlan.text`` of a recording).
        source: the name of the file, for messages.
        overrides: ``path=value``, applied on top.
        base: where relative paths start; the folder of ``source`` if None.
        environ: the environment, for the folders of state and credentials.

    Raises:
        ConfigErrors: everything that is wrong with it.
    """
    own, embedded = extract(text)
    every = (*embedded, *overrides)
    problems = Problems()
    root = load(own, source, problems)
    apply(every, root, problems)
    section = walk(root, Gateway, problems)
    draft = Draft(problems, base or Path(source).parent)
    if handed := environ.get("CREDENTIALS_DIRECTORY"):
        draft.credentials = Path(handed)
    plan = None
    if section is not None:
        section = with_elements(section, problems)
        plan = _gateway(section, draft, environ, embed(own, every), source)
    problems.raise_any()
    if plan is None:
        raise AssertionError("a configuration without a plan has problems")
    return plan


def _gateway(
    section: Gateway, draft: Draft, environ: Mapping[str, str], text: str, source: str
) -> GatewayPlan:
    state = _state(section, draft, environ)
    devices = compile_devices(section.devices, state, draft)
    if not section.devices:
        text_ = "there is no device, so there is nothing to read. Name at least one below devices:"
        draft.problems.at(section.place("devices"), text_)
    assets = compile_assets(section.assets, draft)
    loops = compile_loops(section.loops, draft, control=section.control.enabled)
    classes = compile_classes(section, draft)
    upstreams = compile_upstreams(section, draft)
    upstreams = compile_challengers(section, upstreams, assets.typed, draft)
    return GatewayPlan(
        name=section.gateway,
        state=state,
        tags=TagTable(tuple(draft.tags), assets.aliases),
        devices=devices,
        derived=assets.derived,
        detectors=assets.detectors,
        loops=loops,
        alarms=compile_alarms(section, draft),
        classes=classes,
        upstreams=compile_requests(section, upstreams, loops, draft),
        control=section.control.enabled,
        rehearse=section.control.rehearse,
        outbox_bytes=section.outbox,
        recording_bytes=section.recording,
        text=text,
        source=source,
        assets=assets.members,
        typed=assets.typed,
        hierarchy=levels(section.hierarchy),
    )


def _state(section: Gateway, draft: Draft, environ: Mapping[str, str]) -> Path:
    """The state folder: as written; systemd's; or the user's own (XDG base directories)."""
    if section.state:
        return draft.base / section.state
    if given := environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(given)
    home = environ.get("XDG_STATE_HOME") or f"{environ.get('HOME') or '/var/lib'}/.local/state"
    return Path(home) / "edgetwin" / section.gateway
