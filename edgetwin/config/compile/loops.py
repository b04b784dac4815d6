"""Control loops: checked before they may touch anything, against the tags they read and write."""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from edgetwin.config.compile.draft import Draft
from edgetwin.config.kinds import Hold
from edgetwin.config.node import Mapping as Node
from edgetwin.config.schema.loops import FormulaLoop, PidLoop
from edgetwin.core.expression import Expression
from edgetwin.core.laws.formula import OWN_NAMES, Formula
from edgetwin.core.laws.law import Law
from edgetwin.core.laws.pid import Pid
from edgetwin.core.plan import SECOND, Fail, Fallback, LoopPlan, Mode
from edgetwin.core.tags import Tag, TagKind, ValueType, WriteLimits
from edgetwin.core.units import Quantity, UnitError, format_duration, format_number, parse_quantity

AnyLoop: TypeAlias = PidLoop | FormulaLoop


def compile_loops(
    loops: Mapping[str, AnyLoop | None], draft: Draft, *, control: bool
) -> tuple[LoopPlan, ...]:
    """The plans of all loops; their own tags go into the draft."""
    plans: list[LoopPlan] = []
    for name, loop in loops.items():
        if loop is None:
            continue
        if loop.mode == Mode.AUTO and not control:
            text = (
                f"loop '{name}' is in auto, but nothing may be written. "
                "Write control: {enabled: true}, or mode: shadow"
            )
            draft.problems.at(loop.place("mode"), text)
        plan = _Loop(name, loop, draft).plan()
        if plan is None:
            continue
        others = [other.name for other in plans if other.mv == plan.mv]
        if plan.mv == plan.pv:
            text = f"loop '{name}' reads and writes the same tag. Name the tag that is measured"
            draft.problems.at(loop.place("pv"), text)
        if others:
            text = f"loop '{others[0]}' writes {draft.tags[plan.mv].name} already"
            draft.problems.at(loop.place("mv"), f"{text}. Only one loop may write a tag")
        plans.append(plan)
    return tuple(plans)


class _Loop:
    """One loop on its way to a plan."""

    def __init__(self, name: str, section: AnyLoop, draft: Draft) -> None:
        self._name = name
        self._section = section
        self._draft = draft

    def plan(self) -> LoopPlan | None:
        """The plan, or None: then something it needs is wrong, and told."""
        section, draft = self._section, self._draft
        pv = draft.find_number(section.pv, section.place("pv"))
        limits, mv = self._output()
        sp = self._setpoint(pv)
        law, inputs = self._law()
        permissives = tuple(self._permissives())
        every = section.every or SECOND if pv is None else self._every(pv)
        if pv is None or mv is None or limits is None or sp is None or law is None:
            return None
        sp_tag, out_tag, mode_tag = self._own_tags(pv, mv, every)
        return LoopPlan(
            name=self._name,
            law=law,
            pv=pv,
            sp=sp,
            sp_is_tag=isinstance(sp, int),
            mv=mv,
            every=every,
            mode=Mode(section.mode),
            on_fault=self._end("on_fault", section.on_fault, mv, limits),
            on_stop=self._end("on_stop", section.on_stop, mv, limits),
            permissives=permissives,
            sp_tag=sp_tag,
            out_tag=out_tag,
            mode_tag=mode_tag,
            inputs=inputs,
        )

    def _output(self) -> tuple[WriteLimits | None, int | None]:
        place = self._section.place("mv")
        mv = self._draft.find_number(self._section.mv, place)
        if mv is None:
            return None, None
        tag = self._draft.tags[mv]
        if tag.kind is not TagKind.MEASURED:
            text = f"loop '{self._name}' cannot write {tag.name}: no device holds it. Name another"
            self._draft.problems.at(place, text)
        elif tag.write is None:
            text = (
                f"loop '{self._name}' writes {tag.name}, which has no 'write:' limits. "
                "Say there what it may be: write: {min: …, max: …}"
            )
            self._draft.problems.at(place, text)
        return tag.write, mv

    def _setpoint(self, pv: int | None) -> float | int | None:
        """A number, or the index of a tag."""
        draft, text, place = self._draft, self._section.sp, self._section.place("sp")
        unit = draft.tags[pv].unit if pv is not None else ""
        if text not in draft.names:
            try:
                quantity = parse_quantity(text)
            except UnitError:
                return draft.find_number(text, place)  # tells what is wrong with the name
            return (
                self._within_range(draft.amount(quantity, unit, place), pv)
                if pv is not None
                else 0.0
            )
        sp = draft.find_number(text, place)
        theirs = draft.tags[sp].unit if sp is not None else ""
        if unit and theirs and unit != theirs:
            text = f"'{text}' is in {theirs}, and the pv in {unit}. Make a derived tag in {unit}"
            draft.problems.at(place, text)
        return sp

    def _within_range(self, sp: float, pv: int) -> float:
        tag = self._draft.tags[pv]
        if sp < tag.low or sp > tag.high:
            span = f"{format_number(tag.low)} to {format_number(tag.high)}"
            text = f"{format_number(sp)} is outside the range of {tag.name}, {span}. Correct either"
            self._draft.problems.at(self._section.place("sp"), text)
        return sp

    def _law(self) -> tuple[Law | None, tuple[int, ...]]:
        section = self._section
        if isinstance(section, PidLoop):
            integral, derivative = section.integral / SECOND, section.derivative / SECOND
            return Pid(section.gain, integral, derivative), ()
        node = section.node.entries["is"]
        inputs = self._draft.find_inputs(section.is_, node, own=OWN_NAMES)
        return (None, ()) if inputs is None else (Formula(section.is_), inputs)

    def _permissives(self) -> Iterator[tuple[str, Expression, tuple[int, ...]]]:
        nodes = self._section.node.entries.get("permissives")
        for name, expression in self._section.permissives.items():
            if expression is None or not isinstance(nodes, Node):
                continue
            inputs = self._draft.find_inputs(expression, nodes.entries[name])
            if inputs is not None:
                yield name, expression, inputs

    def _every(self, pv: int) -> int:
        tag, every = self._draft.tags[pv], self._section.every
        if every is not None and every < tag.period:
            text = (
                f"the pv {tag.name} comes every {format_duration(tag.period)}, so the loop cannot "
                f"act every {format_duration(every)}. Raise every, or scan the pv more often"
            )
            self._draft.problems.at(self._section.place("every"), text)
        return every or tag.period

    def _end(self, key: str, rule: Quantity | Hold, mv: int, limits: WriteLimits) -> Fail:
        if isinstance(rule, Hold):
            return Fail()
        place, tag = self._section.place(key), self._draft.tags[mv]
        value = self._draft.amount(rule, tag.unit, place)
        if value < limits.low or value > limits.high:
            span = f"{format_number(limits.low)} to {format_number(limits.high)}"
            text = f"{format_number(value)} is outside what may be written to {tag.name}, {span}"
            self._draft.problems.at(place, f"{text}. Correct either, or write hold")
        return Fail(Fallback.VALUE, value)

    def _own_tags(self, pv: int, mv: int, every: int) -> tuple[int, int, int]:
        draft, place = self._draft, self._section.node.place
        units = {"sp": draft.tags[pv].unit, "out": draft.tags[mv].unit, "mode": ""}
        own = [
            draft.add(
                Tag(
                    index=len(draft.tags),
                    name=f"loop/{self._name}.{what}",
                    kind=TagKind.LOOP,
                    type=ValueType.FLOAT64,
                    unit=unit,
                    period=every,
                    place=f"{place.file}:{place.line}",
                )
            )
            for what, unit in units.items()
        ]
        return own[0], own[1], own[2]
