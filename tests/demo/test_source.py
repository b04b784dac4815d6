"""What a table must be, and how it is played."""

import pytest

from edgetwin.demo.source import TableSource, read_table


@pytest.fixture
def table(tmp_path):
    def write(text):
        path = tmp_path / "table.csv"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("separator", [";", ","])
def test_the_named_columns_are_read_in_the_order_asked_for(table, separator):
    text = "a;b;c\n1;2;3\n4;5;6\n".replace(";", separator)
    assert read_table(table(text), ["c", "a"]) == [(3.0, 1.0), (6.0, 4.0)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n", "no column c"),
        ("a,c\n1,two\n", ":2: could not convert string to float: 'two'"),
        ("a,c\n1\n", ":2: "),
        ("a,c\n", "no rows below the header"),
    ],
)
def test_a_table_that_cannot_be_played_says_where(table, text, says):
    with pytest.raises(ValueError, match=says):
        read_table(table(text), ["c", "a"])


def test_the_first_row_is_held_until_go_and_the_last_for_ever(table):
    source = TableSource(table("a,b\n1,10\n2,20\n3,30\n"), ["a"], ["b"])
    seen = []
    for word in ("", "gone", "go", "", "", ""):
        source.tell(word)
        said = source.step(0.05)
        seen.append((tuple(source.image.measured), source.meter["b"], source.image.status, said))
    assert seen == [
        ((1.0,), 10.0, False, ""),
        ((1.0,), 10.0, False, ""),
        ((2.0,), 20.0, True, ""),
        ((3.0,), 30.0, False, "done"),
        ((3.0,), 30.0, False, ""),
        ((3.0,), 30.0, False, ""),
    ]


def test_nothing_can_be_commanded_of_a_table(table):
    assert not TableSource(table("a,b\n1,10\n"), ["a"], ["b"]).command(1.0)
