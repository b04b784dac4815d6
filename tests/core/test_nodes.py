"""Addresses as people write them: what is understood, what is refused, and that it comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.core.address import AddressError
from edgetwin.core.nodes import (
    NodeAddress,
    PathAddress,
    Step,
    parse_element,
    parse_opcua,
    parse_path,
)

URI = "http://maker.example/UA/skid"


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("/Objects/2:Skid/2:Flow", (Step("Skid", "", 2), Step("Flow", "", 2))),
        ("/Objects/Server/ServerStatus", (Step("Server"), Step("ServerStatus"))),
        (f"nsu={URI};/Objects/Skid/Flow", (Step("Skid", URI), Step("Flow", URI))),
        (f"nsu={URI};/Objects/0:Server/Flow", (Step("Server"), Step("Flow", URI))),
        (f"/Objects/nsu={URI};Skid/3:Flow", (Step("Skid", URI), Step("Flow", "", 3))),
        ("ns=4;/Objects/DB 1.Flow", (Step("DB 1.Flow", "", 4),)),
        ("/Objects/2:a&/b/12&:x", (Step("a/b", "", 2), Step("12:x"))),
    ],
)
def test_path_is_read_name_by_name(text, steps):
    assert parse_path(text) == PathAddress(steps)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Objects/2:Skid", "is no OPC UA node"),
        ("/2:Skid/2:Flow", "begins with /Objects/"),
        ("/Objects", "begins with /Objects/"),
        ("/Objects//2:Flow", "a name is missing"),
        ("/Objects/2:Skid/", "a name is missing"),
        ("/Objects/2:", "a name is missing|"),
        ("/Objects/2:Skid&", "a name is missing|is no"),
        ("/Objects/70000:Skid", "0 to 65535"),
        ("Flow", "is no OPC UA node"),
    ],
)
def test_path_that_leads_nowhere_is_refused_with_its_cure(text, why):
    with pytest.raises(AddressError, match=why):
        parse_opcua(text)


def test_text_node_id_that_looks_like_a_path_stays_a_node_id():
    assert parse_opcua("ns=2;s=/Objects/2:Flow") == NodeAddress("s", "/Objects/2:Flow", "", 2)


@pytest.mark.parametrize(("text", "range_"), [("3", "3"), ("1, 02", "1,2"), ("0", "0")])
def test_element_becomes_an_index_range(text, range_):
    assert parse_element(text) == range_


@pytest.mark.parametrize("text", ["-1", "1:3", "", "a", "1;2"])
def test_element_that_is_none_is_refused(text):
    with pytest.raises(AddressError, match="from 0"):
        parse_element(text)


uris = st.sampled_from(["", URI, "urn:a:b"])
steps = st.builds(
    lambda name, uri, number: Step(name, uri, 0 if uri else number),
    st.text(min_size=1, max_size=12),
    uris,
    st.sampled_from([0, 2, 65535]),
)


@given(st.lists(steps, min_size=1, max_size=5))
def test_every_path_comes_back_from_its_text(names):
    address = PathAddress(tuple(names))
    assert parse_opcua(str(address)) == address
