"""A file is about one noun and a function fits on a screen: the maxima."""

import ast

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 40


def lines_of(function):
    """How long a function is, its docstring aside: explaining must cost nothing."""
    length = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        length -= first.end_lineno - first.lineno + 1
    return length


def test_modules_stay_short(code, allowed):
    long = {source.name: n for source in code if (n := source.text.count("\n")) > MAX_MODULE_LINES}
    assert long.keys() == allowed["module_lines"].keys(), (
        f"longer than {MAX_MODULE_LINES} lines: {long}"
    )


def test_functions_stay_short(code, allowed):
    long = {
        f"{source.name}:{function.name}": n
        for source in code
        for function in source.nodes((ast.FunctionDef, ast.AsyncFunctionDef))
        if (n := lines_of(function)) > MAX_FUNCTION_LINES
    }
    assert long.keys() == allowed["function_lines"].keys(), (
        f"longer than {MAX_FUNCTION_LINES} lines: {long}"
    )


def test_every_exception_has_a_reason(allowed):
    bare = [
        name
        for rule in allowed.values()
        for name, reason in rule.items()
        if len(reason.split()) < 3
    ]
    assert bare == []
