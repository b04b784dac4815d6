"""What a node's type can hold, and what is refused before it is sent."""

import math

import pytest
from asyncua import ua

from edgetwin.core.plan import OpcuaSettings
from edgetwin.devices.opcua.refusal import explain
from edgetwin.devices.opcua.writing import Unfit, fit

V = ua.VariantType


@pytest.mark.parametrize(
    ("kind", "value", "held"),
    [
        (V.Boolean, 0.0, False),
        (V.Boolean, 1.0, True),
        (V.SByte, -128.0, -128),
        (V.Byte, 255.0, 255),
        (V.Int16, 12.0000000001, 12),
        (V.UInt32, 4294967295.0, 4294967295),
        (V.Int64, -(2.0**63), -(2**63)),
        (V.Float, 0.1, 0.10000000149011612),
        (V.Double, 0.1, 0.1),
    ],
)
def test_fitting_value_is_held_as_the_type_holds_it(kind, value, held):
    assert fit(kind.value, value) == held
    assert type(fit(kind.value, value)) is type(held)


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        (V.Boolean.value, 2.0, "neither 0 nor 1"),
        (V.SByte.value, 128.0, "does not fit a SByte"),
        (V.Byte.value, -1.0, "does not fit a Byte"),
        (V.UInt64.value, 2.0**64, "does not fit a UInt64"),
        (V.Int32.value, 0.5, "no whole number"),
        (V.Float.value, 1e39, "too large for a Float"),
        (V.Double.value, math.nan, "no number"),
        (V.Double.value, math.inf, "no number"),
        (V.String.value, 1.0, "holds a String"),
        (V.Double.value | 0x80, 1.0, "holds an array of Double"),
    ],
)
def test_value_that_does_not_fit_is_refused_in_words(kind, value, why):
    with pytest.raises(Unfit, match=why):
        fit(kind, value)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ConnectionRefusedError(111, "refused"), "Is the server running"),
        (TimeoutError(), "no answer within 2 s"),
        (OSError(113, "No route to host"), "No route to host. Check the address"),
        (ua.uaerrors.BadUserAccessDenied(), "'user' and 'password_file'"),
        (ua.uaerrors.BadCertificateTimeInvalid(), "Compare the two clocks"),
        (ua.uaerrors.BadTooManySessions(), "no room for one more session"),
        (ua.uaerrors.BadInternalError(), "BadInternalError"),
    ],
)
def test_refusal_names_cause_and_cure(error, sentence):
    assert sentence in explain(error, OpcuaSettings("opc.tcp://plc", user="op"), None)
