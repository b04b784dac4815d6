"""Assets: second names of tags, derived tags in the order of computation, detectors."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from edgetwin.config.compile.draft import Draft
from edgetwin.config.schema.assets import Asset, Derived, Watch
from edgetwin.core.plan import CapturePlan, DerivedPlan, DetectorPlan, rows_needed
from edgetwin.core.tags import Tag, TagKind, TypedAsset, ValueType


@dataclass(frozen=True, slots=True)
class Assets:
    """What the assets come to. ``aliases`` are second names; ``members`` twin indices of each."""

    aliases: dict[str, int]
    derived: tuple[DerivedPlan, ...]
    detectors: tuple[DetectorPlan, ...]
    members: dict[str, tuple[int, ...]]
    typed: tuple[TypedAsset, ...]


def compile_assets(sections: Mapping[str, Asset | None], draft: Draft) -> Assets:
    """Everything of all assets; derived and detector tags go into the draft."""
    draft.spoilt.update(name for name, asset in sections.items() if asset is None)
    assets = {name: asset for name, asset in sections.items() if asset is not None}
    devices = {name.partition("/")[0] for name in draft.names}
    for name, asset in assets.items():
        if name in devices or name in draft.spoilt:
            text = f"'{name}' is a device already. Give the asset another name"
            draft.problems.at(asset.node.place, text)
    aliases = dict(_aliases(assets, draft))
    derived = tuple(_derived(assets, draft))
    detectors = tuple(_detectors(assets, draft))
    members: dict[str, list[int]] = {name: [] for name in assets}
    for full, index in draft.names.items():
        owner = full.partition("/")[0]
        if index is not None and owner in members:
            members[owner].append(index)
    typed = tuple(_typed(assets, detectors, draft))
    return Assets(aliases, derived, detectors, {k: tuple(v) for k, v in members.items()}, typed)


def _typed(
    assets: Mapping[str, Asset], detectors: Iterable[DetectorPlan], draft: Draft
) -> Iterator[TypedAsset]:
    """Those that say what kind of machine they are, with their numbers by their own names."""
    verdicts = {detector.name: detector.verdict_tag for detector in detectors}
    for name, asset in assets.items():
        if asset.type is None:
            continue
        known = ((key, draft.names.get(f"{name}/{key}")) for key in (*asset.tags, *asset.derived))
        tags = {key: i for key, i in known if i is not None and _is_number(draft.tags[i])}
        yield TypedAsset(name, asset.type, tags, verdicts.get(name, -1))


def _aliases(assets: Mapping[str, Asset], draft: Draft) -> Iterator[tuple[str, int]]:
    targets = dict(draft.names)
    for name, asset in assets.items():
        for alias, target in asset.tags.items():
            place = asset.node.entries["tags"].place
            index = None
            if target is not None:
                place = asset.place_in("tags", alias)
                index = draft.find(target, place)
            draft.names[f"{name}/{alias}"] = index
            if target is not None and target not in targets and target in draft.names:
                text = f"'{target}' is a second name itself. Name the tag of the device"
                draft.problems.at(place, text)
            if index is not None:
                yield f"{name}/{alias}", index


# ---------------------------------------------------------------- derived


def _derived(assets: Mapping[str, Asset], draft: Draft) -> Iterator[DerivedPlan]:
    declared: dict[str, tuple[str, Derived]] = {}
    for name, asset in assets.items():
        for key, section in asset.derived.items():
            full = f"{name}/{key}"
            if full in draft.names:
                text = f"'{key}' is a tag of the asset already. Give the derived tag another name"
                draft.problems.at(asset.place_in("derived", key), text)
            draft.names[full] = None
            if section is not None:
                declared[full] = name, section
    for full in _in_order(declared, draft):
        owner, section = declared[full]
        node = section.node.entries["is"]
        inputs = draft.find_inputs(section.is_, node, owner)
        if inputs is None:
            continue
        period = min((draft.tags[i].period for i in inputs), default=Tag(0, "").period)
        low, high = draft.span(section, section.range, section.unit or "")
        place = f"{node.place.file}:{node.place.line}"
        tag = Tag(
            index=len(draft.tags),
            name=full,
            kind=TagKind.DERIVED,
            type=ValueType.FLOAT64,
            unit=section.unit or "",
            period=period,
            low=low,
            high=high,
            place=place,
        )
        yield DerivedPlan(draft.add(tag), section.is_, inputs)


def _in_order(declared: Mapping[str, tuple[str, Derived]], draft: Draft) -> list[str]:
    """The derived tags, each after those it needs. Circles are told and left out."""
    needs = {
        full: [
            each
            for name in section.is_.names
            if (each := name if "/" in name else f"{owner}/{name}") in declared
        ]
        for full, (owner, section) in declared.items()
    }
    while True:
        try:
            return list(TopologicalSorter(needs).static_order())
        except CycleError as error:
            circle = error.args[1]
            shown = [*reversed(circle)] if len(circle) < 8 else [*circle[:-7:-1], "…", circle[0]]
            text = f"{' needs '.join(shown)}: this never begins. Break the circle"
            draft.problems.at(declared[circle[0]][1].place("is"), text)
            for full in circle:
                needs.pop(full, None)
            needs = {full: [n for n in names if n not in circle] for full, names in needs.items()}


# ---------------------------------------------------------------- detectors


def _detectors(assets: Mapping[str, Asset], draft: Draft) -> Iterator[DetectorPlan]:
    for name, asset in assets.items():
        if asset.watch is None:
            continue
        watched = _watched(name, asset, asset.watch, draft)
        _check(asset.watch, draft)
        place = asset.place("watch")
        score, verdict = (
            draft.add(
                Tag(
                    index=len(draft.tags),
                    name=f"{name}/{what}",
                    kind=TagKind.DETECTOR,
                    type=ValueType.FLOAT64,
                    period=asset.watch.every,
                    place=f"{place.file}:{place.line}",
                )
            )
            for what in ("score", "verdict")
        )
        yield DetectorPlan(
            name=name,
            tags=watched,
            score_tag=score,
            verdict_tag=verdict,
            every=asset.watch.every,
            window=asset.watch.window,
            train=asset.watch.train,
            limit=asset.watch.limit,
            model=draft.path(asset.watch.model),
            sha256=asset.watch.sha256 or "",
            capture=CapturePlan(
                asset.watch.capture.before, asset.watch.capture.after, asset.watch.capture.size
            ),
        )


def _watched(name: str, asset: Asset, watch: Watch, draft: Draft) -> tuple[int, ...]:
    """The tags to look at: those named, or all of the asset's that are numbers, in its order."""
    if not watch.tags:
        found = [draft.names[f"{name}/{alias}"] for alias in asset.tags]
        numbers = [i for i in found if i is not None and _is_number(draft.tags[i])]
        if not numbers and None not in found:
            text = f"asset '{name}' has no tags that are numbers, so there is nothing to watch"
            draft.problems.at(asset.place("watch"), text)
        return tuple(dict.fromkeys(numbers))
    place = watch.place("tags")
    named = [draft.find_number(n if "/" in n else f"{name}/{n}", place) for n in watch.tags]
    known = [each for each in named if each is not None]
    if len(set(known)) < len(known):
        draft.problems.at(place, "a tag stands here twice. Name each only once")
    return tuple(known)


def _is_number(tag: Tag) -> bool:
    return tag.type not in {ValueType.TEXT, ValueType.BIT}


def _check(watch: Watch, draft: Draft) -> None:
    need = rows_needed(watch.window)
    if watch.train < need and not watch.model:
        text = f"train is {watch.train}, too few to learn from with a window of {watch.window}. "
        text += f"Write {need} or more; ten times the window is better"
        draft.problems.at(watch.place("train" if "train" in watch.node.entries else "window"), text)
    if watch.sha256 and not watch.model:
        text = "a hash without a model. Write model: and the file it belongs to"
        draft.problems.at(watch.place("sha256"), text)
