"""Whatever a file holds, it is read, or told by place: nothing else is ever raised."""

import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from edgetwin import config
from edgetwin.config.load import load
from edgetwin.config.problem import Problems

ROOT = Path(__file__).parents[2]
TEXTS = [
    (ROOT / "config/pump-skid.yaml").read_text("utf-8"),
    (ROOT / "config/minimal.yaml").read_text("utf-8"),
]
WORDS = sorted(set(re.findall(r"[A-Za-z0-9_/.]+|[{}\[\]:,&*!|>%@\"'#-]", "\n".join(TEXTS))))
ODD = [
    *WORDS,
    "~",
    "null",
    "NO",
    "1e999",
    "-1",
    "\t",
    "\n",
    "  ",
    "- ",
    ": ",
    "é",
    "\x85",
    "{}",
    "[]",
    "<<",
]
PLACED = re.compile(
    r"f\.yaml:[1-9]\d*:[1-9]\d*: \S.*[^ ]|--set .*:[1-9]\d*:[1-9]\d*: \S.*", re.DOTALL
)


def check(text, overrides=()):
    problems = ()
    try:
        config.compile_text(text, "f.yaml", overrides, Path("/base"), {})
    except config.ConfigErrors as errors:
        problems = errors.problems
    for problem in problems:
        assert PLACED.fullmatch(str(problem))
        assert problem.text.isprintable()


@st.composite
def mutated(draw):
    """A ready example with some of its words cut, doubled, exchanged or replaced."""
    pieces = re.split(r"(\W)", draw(st.sampled_from(TEXTS)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(pieces) - 1))
        match draw(st.integers(0, 3)):
            case 0:
                del pieces[at]
            case 1:
                pieces.insert(at, pieces[at])
            case 2:
                pieces[at] = draw(st.sampled_from(ODD))
            case 3:
                other = draw(st.integers(0, len(pieces) - 1))
                pieces[at], pieces[other] = pieces[other], pieces[at]
    return "".join(pieces)


@given(mutated())
@settings(max_examples=300, deadline=None)
def test_mutated_example_is_read_or_told_by_place(text):
    check(text)


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_told_by_place(text):
    check(text)


@given(st.lists(st.sampled_from(ODD), max_size=30))
@settings(max_examples=200, deadline=None)
def test_any_words_are_read_or_told_by_place(words):
    check(" ".join(words))


KEYS = st.sampled_from([*WORDS, "is", "write", "watch", "permissives"])
VALUES = st.recursive(
    st.sampled_from(ODD) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda each: f"[{', '.join(each)}]")
        | st.dictionaries(KEYS, inner, max_size=3).map(
            lambda each: "{" + ", ".join(f"{key}: {value}" for key, value in each.items()) + "}"
        )
    ),
    max_leaves=6,
)
PATHS = st.lists(KEYS, min_size=1, max_size=5).map(".".join)


@given(st.sampled_from(TEXTS), PATHS, VALUES)
@settings(max_examples=300, deadline=None)
def test_any_override_is_applied_or_told_by_place(text, path, value):
    check(text, [f"{path}={value}"])


def paths(node, prefix=""):
    for key, value in node.entries.items():
        yield f"{prefix}{key}"
        if hasattr(value, "entries"):
            yield from paths(value, f"{prefix}{key}.")


def known_paths():
    return list(paths(load(TEXTS[0], "f", Problems())))


@given(st.sampled_from(known_paths()), VALUES)
@settings(max_examples=400, deadline=None)
def test_any_value_in_place_of_a_right_one_is_read_or_told_by_place(path, value):
    check(TEXTS[0], [f"{path}={value}"])
