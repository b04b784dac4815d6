"""Expressions over tags that a technician may write and that can do no harm.

Theory of operation. The text is parsed by Python's own parser, but of the tree only a short list of
nodes is let through: numbers, names, arithmetic, comparisons, ``and or not``, ``a if b else c`` and
calls of the functions below. Texts, subscripts, attributes and lambdas are refused, so nothing
outside the expression can be reached. The tree is then rewritten and compiled once:

* every number becomes a float and ``**`` becomes ``math.pow``: no integer can grow, and each step
  costs the same;
* names become positional arguments, in order of first use; ``device.tag`` (one dot) is the tag
  ``device/tag``, because a slash is a division here;
* whatever is compared, negated, branched on or handed to a function must be finite, else the whole
  result is NaN: ``nan > 5`` is False in floating point, and nothing may be decided on that.

Inputs that are no number, division by zero, roots of negatives and overflow all end in NaN, never
in an exception.
"""

import ast
import math
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

MAX_LENGTH = 1000
MAX_NODES = 500
MAX_DEPTH = 100

EXAMPLE = "p * q / 36"


class ExpressionError(ValueError):
    """The text is no expression. ``message`` says what to write instead, ``column`` where.

    Columns count from 1.
    """

    def __init__(self, message: str, column: int) -> None:
        super().__init__(f"column {column}: {message}")
        self.message = message
        self.column = column


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked, compiled expression, made by ``parse_expression``. Equal when the texts are.

    ``names`` are the tags it needs in order of first use, as the tag table knows them (``p``,
    ``device/tag``); ``columns`` (from 1) say where in the text each is first used.
    """

    text: str
    names: tuple[str, ...] = field(compare=False)
    columns: tuple[int, ...] = field(compare=False, repr=False)
    _function: Callable[..., float] = field(compare=False, repr=False)

    def evaluate(self, values: Sequence[float]) -> float:
        """The result for one value per name, in order of ``names``. NaN: none. True is 1.0."""
        if not all(map(math.isfinite, values)):
            return math.nan
        try:
            result = float(self._function(*map(float, values)))
        except (ArithmeticError, ValueError):
            return math.nan
        return result if math.isfinite(result) else math.nan

    def __str__(self) -> str:
        """As the technician wrote it."""
        return self.text


def parse_expression(text: str) -> Expression:
    """Check and compile an expression.

    Raises:
        ExpressionError: it is no expression, or more than is allowed; the message names the cure.
    """
    _refuse_foreign(text)
    tree = _parse(text)
    rewriter = _Rewriter()
    body = rewriter.visit(tree.body)
    arguments = [ast.arg(_argument(i)) for i in range(len(rewriter.names))]
    function = ast.Lambda(ast.arguments([], arguments, None, [], [], None, []), body)
    code = compile(ast.fix_missing_locations(ast.Expression(function)), "<expression>", "eval")
    compiled = eval(code, dict(_GLOBALS))  # noqa: S307 - every node of it passed the rewriter's short list
    return Expression(text, tuple(rewriter.names), tuple(rewriter.names.values()), compiled)


# ---------------------------------------------------------------- what an expression may call


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ArithmeticError
    return value


def _clamp(value: float, low: float, high: float) -> float:
    if low > high:
        raise ArithmeticError
    return min(max(value, low), high)


def _sign(value: float) -> float:
    return float((value > 0.0) - (value < 0.0))


@dataclass(frozen=True, slots=True)
class _Function:
    run: Callable[..., float]
    shape: str
    least: int = 1
    most: int = 1


FUNCTIONS = {
    "abs": _Function(abs, "abs(x)"),
    "min": _Function(min, "min(a, b, …)", 2, 100),
    "max": _Function(max, "max(a, b, …)", 2, 100),
    "sqrt": _Function(math.sqrt, "sqrt(x)"),
    "exp": _Function(math.exp, "exp(x)"),
    "log": _Function(math.log, "log(x)"),
    "log10": _Function(math.log10, "log10(x)"),
    "sin": _Function(math.sin, "sin(x)"),
    "cos": _Function(math.cos, "cos(x)"),
    "tan": _Function(math.tan, "tan(x)"),
    "clamp": _Function(_clamp, "clamp(x, low, high)", 3, 3),
    "sign": _Function(_sign, "sign(x)"),
}
"""What an expression may call, by name. Angles are in radians, ``log`` is the natural one."""

CONSTANTS = {"pi": math.pi, "e": math.e, "true": 1.0, "false": 0.0}

_POWER, _FINITE = "**", "finite"  # no tag and no function can be called so
_GLOBALS: dict[str, object] = {
    "__builtins__": {},
    _POWER: math.pow,
    _FINITE: _finite,
    **{name: function.run for name, function in FUNCTIONS.items()},
}


# ---------------------------------------------------------------- from text to a tree

_FOREIGN = (
    (re.compile(r"\^"), "'^' is not a power here. Write p ** 2"),
    (re.compile(r"&+"), "'{}' is not known here. Write: a > 1 and b > 1"),
    (re.compile(r"\|+"), "'{}' is not known here. Write: a > 1 or b > 1"),
    (re.compile(r"!(?!=)"), "'!' is not known here. Write: not a"),
    (re.compile(r"(?<![=<>!:])=(?!=)"), "'=' does not compare here. Write a == b"),
    (re.compile(r"<>"), "'<>' is not known here. Write a != b"),
    (re.compile(r"\?|:"), "'{}' is not known here. Write: a if b > 1 else c"),
    (re.compile(r"[\"'`]"), "an expression computes numbers and knows no texts"),
    (re.compile(r"[\[\]{}]"), "'{}' is not known here. Only round brackets group: (a + b) * c"),
    (re.compile(r"[#@$;\\~\0]"), "'{}' has no meaning in an expression"),
    (re.compile("[\u00d7\u00b7\u2219]"), "'{}' is not known here. Write a * b"),
    (re.compile("[\u00f7\u2215]"), "'{}' is not known here. Write a / b"),
    (re.compile("[²³]"), "'{}' is not known here. Write p ** 2"),
    (re.compile("√"), "'√' is not known here. Write sqrt(x)"),
    (re.compile("≤"), "'≤' is not known here. Write a <= b"),
    (re.compile("≥"), "'≥' is not known here. Write a >= b"),
    (re.compile("≠"), "'≠' is not known here. Write a != b"),
    (re.compile("[\u2212\u2013\u2014]"), "this is a dash, not a minus. Write a - b"),
    (re.compile(r"[^\x00-\x7f]"), "{!r} is not known here. Names are letters a to z, digits and _"),
)
_BLANK = re.compile(r"[\t\r\n\f\v]")


def _refuse_foreign(text: str) -> None:
    """Refuse by name what people bring along from other languages, each with its cure."""
    if not text.strip():
        raise ExpressionError(f"there is no expression. Write something like {EXAMPLE}", 1)
    if len(text) > MAX_LENGTH:
        raise ExpressionError(
            f"an expression has at most {MAX_LENGTH} characters, this one {len(text)}. "
            "Make derived tags of its parts",
            MAX_LENGTH + 1,
        )
    found = [
        (match.start(), hint, match[0]) for rule, hint in _FOREIGN if (match := rule.search(text))
    ]
    if found:
        start, hint, what = min(found, key=lambda each: each[0])
        raise ExpressionError(hint.format(what), start + 1)


def _parse(text: str) -> ast.Expression:
    """Parse text that may be spread over lines, as YAML allows. Columns stay those of the text."""
    one_line = _BLANK.sub(" ", text)
    indent = len(one_line) - len(one_line.lstrip())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # hints for programmers, e.g. on "1if a else b"
            tree = ast.parse(one_line.strip(), mode="eval")
    except SyntaxError as error:
        column = min(max(error.offset or 1, 1) + indent, len(text) + 1)
        what = error.msg if error.msg.startswith(("'", "unmatched")) else "this is no expression"
        raise ExpressionError(f"{what}. Write something like {EXAMPLE}", column) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError(
            "this is nested too deeply, or a number in it is too long", 1
        ) from error
    for node in ast.walk(tree):
        if isinstance(node, ast.expr):
            node.col_offset += indent
    return tree


# ---------------------------------------------------------------- from a tree to what may run

_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod)
_ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)
_SIGNS = (ast.UAdd, ast.USub)


def _argument(index: int) -> str:
    return f"v{index}"


def _call(function: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(function, ast.Load()), list(arguments), [])


def _refuse(message: str, node: ast.AST) -> NoReturn:
    raise ExpressionError(message, getattr(node, "col_offset", 0) + 1)


class _Rewriter(ast.NodeTransformer):
    """Lets through what is on the list, rewritten to floats. ``names``: name → column."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self._nodes = 0
        self._depth = 0

    def visit(self, node: ast.AST) -> ast.expr:
        """One node, unless the tree has grown too large or too deep."""
        self._nodes += 1
        self._depth += 1
        if self._nodes > MAX_NODES or self._depth > MAX_DEPTH:
            _refuse("this is more than one expression may do. Make derived tags of its parts", node)
        result: ast.expr = super().visit(node)
        self._depth -= 1
        return result

    def generic_visit(self, node: ast.AST) -> NoReturn:
        """Everything that has no method here."""
        _refuse(f"this is no arithmetic. Write something like {EXAMPLE}", node)

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        """A number or a truth value."""
        if not isinstance(node.value, (bool, int, float)):
            _refuse("only numbers are known here", node)
        try:
            value = float(node.value)
        except OverflowError:
            value = math.inf
        if math.isinf(value):
            _refuse("this number is too large", node)
        return ast.Constant(value)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """A constant or a tag."""
        if node.id in CONSTANTS:
            return ast.Constant(CONSTANTS[node.id])
        if node.id in FUNCTIONS:
            _refuse(f"'{node.id}' is a function. Write {FUNCTIONS[node.id].shape}", node)
        return self._tag(node.id, node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        """``device.tag``."""
        if not isinstance(node.value, ast.Name):
            _refuse("a tag of another device is written device.tag, with one dot", node)
        return self._tag(f"{node.value.id}/{node.attr}", node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        """``-a``, ``+a``, ``not a``."""
        if isinstance(node.op, ast.Not):
            return ast.UnaryOp(node.op, self._decided(node.operand))
        if not isinstance(node.op, _SIGNS):
            _refuse("this operator is not known here", node)
        return ast.UnaryOp(node.op, self.visit(node.operand))

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """``a + b`` and its kind; a power goes to math.pow, which knows only floats."""
        left, right = self.visit(node.left), self.visit(node.right)
        if isinstance(node.op, ast.Pow):
            return _call(_POWER, left, right)
        if not isinstance(node.op, _ARITHMETIC):
            _refuse("this operator is not known here. There are + - * / // % and **", node)
        return ast.BinOp(left, node.op, right)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        """``a and b``, ``a or b``."""
        return ast.BoolOp(node.op, [self._decided(each) for each in node.values])

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        """``a < b``, also chained: ``a < b < c``."""
        if not all(isinstance(op, _ORDER) for op in node.ops):
            _refuse("values are compared by < <= > >= == and !=", node)
        left = self._decided(node.left)
        return ast.Compare(left, node.ops, [self._decided(each) for each in node.comparators])

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        """``a if b else c``; visited in the order in which it is written."""
        body, test = self.visit(node.body), self._decided(node.test)
        return ast.IfExp(test, body, self.visit(node.orelse))

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """A call of one of the functions above."""
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in FUNCTIONS:
            _refuse(f"there is no such function. There are {', '.join(FUNCTIONS)}", node)
        function = FUNCTIONS[name]
        given = len(node.args) if not node.keywords else -1
        if not function.least <= given <= function.most:
            _refuse(f"'{name}' is used like this: {function.shape}", node)
        return _call(name, *(self._decided(each) for each in node.args))

    def _tag(self, name: str, node: ast.expr) -> ast.expr:
        self.names.setdefault(name, node.col_offset + 1)
        return ast.Name(_argument(list(self.names).index(name)), ast.Load())

    def _decided(self, node: ast.expr) -> ast.expr:
        """An operand on which something is decided: finite, as tags and numbers already are."""
        operand = self.visit(node)
        plain = isinstance(operand, (ast.Name, ast.Constant, ast.Compare))
        return operand if plain else _call(_FINITE, operand)
