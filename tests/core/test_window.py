import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.core.window import Window


@given(size=st.integers(1, 7), width=st.integers(1, 4), count=st.integers(0, 40))
def test_window_holds_the_last_rows_oldest_first(size, width, count):
    window = Window(size, width)
    rows = np.arange(count * width, dtype=float).reshape(count, width)
    for row in rows:
        window.push(row)
    assert np.array_equal(window.rows(), rows[-size:] if count else np.empty((0, width)))
    assert len(window) == min(count, size)
    assert window.is_full == (count >= size)


def test_rows_given_out_are_float32_and_do_not_change_with_later_rows():
    window = Window(2, 1)
    for value in (1.0, 2.0):
        window.push(np.array([value]))
    before = window.rows()
    window.push(np.array([3.0]))
    assert before.dtype == np.float32
    assert before.flags.c_contiguous
    assert before.ravel().tolist() == [1.0, 2.0]


def test_cleared_window_starts_with_no_row():
    window = Window(3, 1)
    for value in range(5):
        window.push(np.array([float(value)]))
    window.clear()
    assert (len(window), window.is_full) == (0, False)
    window.push(np.array([9.0]))
    assert window.rows().tolist() == [[9.0]]


def test_row_of_another_width_is_refused():
    with pytest.raises(ValueError, match="broadcast"):
        Window(3, 2).push(np.array([1.0, 2.0, 3.0]))
