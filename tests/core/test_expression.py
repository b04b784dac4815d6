import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetwin.core.expression import MAX_LENGTH, ExpressionError, parse_expression

NAN = math.nan


@pytest.mark.parametrize(
    ("text", "values", "result"),
    [
        ("p * q / 36", (6.0, 12.0), 2.0),
        ("p ** 2 - -p", (3.0,), 12.0),
        ("7 // 2 + 7 % 4", (), 6.0),
        ("a if a > b else b", (1.0, 2.0), 2.0),
        ("0 < a < 5 and not b > 3", (1.0, 2.0), 1.0),
        ("a or b", (0.0, 0.0), 0.0),
        ("true + True - false", (), 2.0),
        ("(a > 1) + (a > 2)", (3.0,), 2.0),
        ("clamp(x, 0, 10) + sign(-4)", (12.0,), 9.0),
        ("min(a, b, 3) + max(a, b)", (5.0, 4.0), 8.0),
        ("sqrt(16) + abs(-2) + log(e) + log10(100)", (), 9.0),
        ("sin(0) + cos(0) + tan(0) + exp(0)", (), 2.0),
        ("  p\n  + q", (1.0, 2.0), 3.0),
        ("1_000 + 0x10 + 1e3", (), 2016.0),
    ],
)
def test_expression_gives_the_value_a_technician_expects(text, values, result):
    assert parse_expression(text).evaluate(values) == result
    assert type(parse_expression(text).evaluate(values)) is float


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a / b", (1.0, 0.0)),
        ("a // 0", (1.0,)),
        ("a % 0", (1.0,)),
        ("sqrt(a)", (-1.0,)),
        ("a ** 0.5", (-8.0,)),
        ("a ** -1", (0.0,)),
        ("10 ** a ** a", (100.0,)),
        ("9 ** 9 ** 9 ** 9", ()),
        ("exp(a)", (1e6,)),
        ("log(a)", (0.0,)),
        ("a * a", (1e300,)),
        ("clamp(a, 3, 1)", (2.0,)),
        ("3", ()),
        ("a", (NAN,)),
        ("3 if b else a", (NAN, 1.0)),
        ("a", (math.inf,)),
        ("1e300 * a - 1e300 * a > 5", (1e300,)),
        ("not (1e300 * a - 1e300 * a > 5)", (1e300,)),
        ("max(3, 1e300 * a)", (1e300,)),
        ("2 if 1e300 * a else 1", (1e300,)),
    ],
)
def test_where_there_is_no_number_the_result_is_nan_and_no_exception(text, values):
    result = parse_expression(text).evaluate(values)
    assert result == 3.0 if text == "3" else math.isnan(result)


def test_names_come_in_order_of_first_use_with_the_column_of_each():
    expression = parse_expression("p * skid.q if flow > 1 else p + e * pi")
    assert expression.names == ("p", "skid/q", "flow")
    assert expression.columns == (1, 5, 15)


def test_expressions_are_equal_when_their_texts_are():
    assert parse_expression("a + b") == parse_expression("a + b")
    assert hash(parse_expression("a + b")) == hash(parse_expression("a + b"))
    assert parse_expression("a + b") != parse_expression("b + a")
    assert str(parse_expression("a + b")) == "a + b"


@pytest.mark.parametrize(
    ("text", "column", "cure"),
    [
        ("", 1, "Write something like p * q / 36"),
        ("   ", 1, "no expression"),
        ("p ^ 2", 3, "'^' is not a power here. Write p ** 2"),
        ("a = 3", 3, "Write a == b"),
        ("a && b", 3, "'&&' is not known here. Write: a > 1 and b > 1"),
        ("a || b", 3, "or"),
        ("!a", 1, "Write: not a"),
        ("a <> b", 3, "a != b"),
        ("a > 1 ? b : c", 7, "a if b > 1 else c"),
        ("lambda: 3", 7, "':'"),
        ("(a := 3)", 4, "':'"),
        ("'text'", 1, "no texts"),
        ("a[0]", 2, "round brackets"),
        ("{}", 1, "round brackets"),
        ("a # note", 3, "no meaning"),
        ("x²", 2, "p ** 2"),
        ("a \u00d7 b", 3, "a * b"),
        ("a \u2212 b", 3, "dash"),
        ("a ≤ b", 3, "a <= b"),
        ("größe + 1", 3, "Names are letters a to z"),
        ("a b", 3, "no expression"),
        ("(a + b", 1, "'(' was never closed"),
        ("a + b)", 6, "unmatched ')'"),
        ("  a +", 3, "no expression"),
        ("a if b", 1, "no expression"),
        ("min", 1, "Write min(a, b, …)"),
        ("min(a)", 1, "min(a, b, …)"),
        ("min(*a)", 1, "min(a, b, …)"),
        ("1 + round(a)", 5, "There are abs, min"),
        ("a.b(3)", 1, "no such function"),
        ("a.b.c", 1, "one dot"),
        ("(a + b).c", 1, "one dot"),
        ("a in b", 1, "compared by"),
        ("a is b", 1, "compared by"),
        ("(a, b)", 1, "no arithmetic"),
        ("a @ b", 3, "no meaning"),
        ("a << b", 1, "There are + - *"),
        ("1j", 1, "only numbers"),
        ("None", 1, "only numbers"),
        ("...", 1, "only numbers"),
        ("1e999", 1, "too large"),
        ("9" * 999, 1, "too large"),
        ("-" * 900 + "x", 101, "derived tags"),
        (" + ".join("x" for _ in range(240)), 1, "derived tags"),
        ("x" * (MAX_LENGTH + 1), MAX_LENGTH + 1, "at most 1000"),
    ],
)
def test_what_is_no_expression_is_refused_with_column_and_cure(text, column, cure):
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text)
    assert caught.value.column == column
    assert cure in caught.value.message
    assert str(caught.value) == f"column {column}: {caught.value.message}"


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "a.__class__",
        "(1).__class__",
        "[x for x in (1,2)]",
        "open(a)",
    ],
)
def test_nothing_outside_the_expression_can_be_reached(text):
    try:
        expression = parse_expression(text)
    except ExpressionError:
        return
    assert expression.names == ("a/__class__",)  # just the name of a tag that will not exist


# ---------------------------------------------------------------- properties

numbers = st.floats(-100, 100, allow_nan=False).map(lambda x: round(x, 3))
leaves = st.sampled_from("abc") | numbers.map(repr)


def _grow(inner):
    pair = st.tuples(inner, inner)
    return st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner).map(
            lambda t: f"({t[0]} {t[1]} {t[2]})"
        ),
        st.tuples(inner, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), inner).map(
            lambda t: f"({t[0]} {t[1]} {t[2]})"
        ),
        pair.map(lambda t: f"({t[0]} and {t[1]})"),
        pair.map(lambda t: f"({t[0]} or {t[1]})"),
        pair.map(lambda t: f"min({t[0]}, {t[1]})"),
        pair.map(lambda t: f"abs({t[0]} - {t[1]})"),
        inner.map(lambda t: f"(not {t})"),
        inner.map(lambda t: f"(-{t})"),
        inner.map(lambda t: f"({t}) ** 2.0"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} else {t[2]})"),
    )


safe = st.recursive(leaves, _grow, max_leaves=12)


@given(safe, numbers, numbers, numbers)
@settings(max_examples=500)
def test_safe_expressions_agree_with_python(text, a, b, c):
    values = {"a": a, "b": b, "c": c}
    expression = parse_expression(text)
    got = expression.evaluate([values[name] for name in expression.names])
    try:
        expected = float(eval(text, {"min": min, "abs": abs}, values))  # noqa: S307
    except ZeroDivisionError:
        expected = NAN
    assert got == expected or (math.isnan(got) and math.isnan(expected))


PIECES = """a b.c 1 2.5 1e308 + - * / // % ** ( ) , < == and or not if else min( clamp( exp( lambda
: = [ ] ' ^ ! é . .. is in None await := 9999999999 0x 1j __ \\"""
pieces = st.sampled_from([*PIECES.split(), "\n", "\t", "\0"])


@given(st.lists(pieces, max_size=60).map(" ".join) | st.text(max_size=80), numbers)
@settings(max_examples=500)
def test_any_text_gives_an_expression_or_one_error_and_quickly(text, value):
    began = time.process_time()
    outcome = _parsed(text)
    if isinstance(outcome, ExpressionError):
        assert 1 <= outcome.column <= len(text) + 1
        assert outcome.message
    else:
        result = outcome.evaluate([value] * len(outcome.names))
        assert type(result) is float
        assert not math.isinf(result)
    assert time.process_time() - began < 0.5


def _parsed(text):
    try:
        return parse_expression(text)
    except ExpressionError as error:
        return error
