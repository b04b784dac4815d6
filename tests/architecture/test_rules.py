"""House rules that no linter knows."""

import ast
import io
import re
import tokenize
from pathlib import PurePath

EMPTY_NAMES = {
    "utils",
    "util",
    "common",
    "helper",
    "helpers",
    "manager",
    "base",
    "misc",
    "tools",
    "data",
}
SILENCER = re.compile(r"#\s*(noqa|type:\s*ignore)\b[^\s#]*(\s*[A-Z]+\d+,?)*")


def comments(source):
    """The comments of a module, by line number."""
    tokens = tokenize.generate_tokens(io.StringIO(source.text).readline)
    return {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}


def told(rule, places):
    """All offenders at once: pytest's own comparison shows only the first."""
    return "\n  ".join([f"{rule}:", *sorted(places)])


def is_broad(handler):
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(
        kind is None or getattr(kind, "id", "") in {"Exception", "BaseException"} for kind in kinds
    )


def reason(comment):
    """What a comment says besides silencing a tool."""
    return SILENCER.sub("", comment).strip("# -:")


def test_a_module_has_a_name_that_means_something(code):
    empty = [source.name for source in code if PurePath(source.name).stem in EMPTY_NAMES]
    assert not empty, told("a name that says nothing", empty)


def goes_on(handler):
    """Whether the exception ends here. One that is raised again has only been cleaned up after."""
    return not isinstance(handler.body[-1], ast.Raise)


def test_a_broad_except_says_why_on_its_line(code):
    bare = [
        f"{source.name}:{handler.lineno}"
        for source in code
        for said in [comments(source)]
        for handler in source.nodes(ast.ExceptHandler)
        if is_broad(handler) and goes_on(handler)
        if not any(reason(said.get(n, "")) for n in range(handler.lineno, handler.body[0].lineno))
    ]
    assert not bare, told("a broad except without its reason as a comment on its line", bare)


def test_a_silenced_tool_is_told_why(code):
    bare = [
        f"{source.name}:{line}"
        for source in code
        for line, comment in comments(source).items()
        if SILENCER.search(comment) and not reason(comment)
    ]
    assert not bare, told("silences a tool without a reason, such as # noqa: X123 (why)", bare)


def waits(call):
    """Whether a call sleeps. ``sleep(0)`` only lets the loop turn."""
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    return name == "sleep" and not (
        isinstance(call.args[0], ast.Constant) and call.args[0].value == 0
    )


def test_nothing_waits_by_sleeping(package, allowed):
    sleepers = {source.name for source in package for call in source.nodes(ast.Call) if waits(call)}
    differing = sleepers ^ allowed["sleep"].keys()
    assert not differing, told("sleeps unlike allowed.toml says: wait for what happens", differing)


def test_nothing_is_left_for_later(code):
    mark = re.compile(r"\b(TO[D]O|FIX[M]E|XX[X]|HA[C]K)\b")
    marked = [source.name for source in code if mark.search(source.text)]
    assert not marked, told("leaves something for later", marked)
