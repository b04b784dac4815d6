import re

from hypothesis import given
from hypothesis import strategies as st

from edgetwin.core.export.view import identifiers

_FIT = re.compile(r"[A-Za-z](?:[A-Za-z0-9_]*[A-Za-z0-9])?")


@given(st.lists(st.text(min_size=1, max_size=80), unique=True, max_size=8))
def test_identifiers_fit_and_differ_whatever_the_names_are(names):
    given_ = identifiers(names, 20)
    assert given_.keys() == set(names)
    assert all(_FIT.fullmatch(word) and len(word) <= 20 for word in given_.values())
    assert len({word.lower() for word in given_.values()}) == len(names)


def test_plain_names_stay_as_they_are():
    names = ["pressure", "speed_setpoint", "q7"]
    assert identifiers(names) == {name: name for name in names}
