"""StatusCodes (OPC 10000-4 §7.39): as a Quality, and in words."""

import numpy as np
from asyncua.ua.status_codes import get_name_and_doc
from numpy.typing import NDArray

from edgetwin.core.quality import Quality
from edgetwin.core.reading import Bytes
from edgetwin.devices.opcua.stack import StatusCodes

_Codes = StatusCodes

SESSION_OVER = frozenset(
    {
        _Codes.BadSessionIdInvalid,
        _Codes.BadSessionClosed,
        _Codes.BadSessionNotActivated,
        _Codes.BadSecureChannelIdInvalid,
        _Codes.BadSecureChannelClosed,
        _Codes.BadServerHalted,
        _Codes.BadShutdown,
        _Codes.BadNoSubscription,
        _Codes.BadSubscriptionIdInvalid,
    }
)
"""After one of these nothing comes any more until there is a new session."""

_REASONS = {
    _Codes.UncertainSubstituteValue: Quality.SUBSTITUTED,
    _Codes.UncertainEngineeringUnitsExceeded: Quality.OUT_OF_RANGE,
    _Codes.BadNodeIdUnknown: Quality.CONFIG_ERROR,
    _Codes.BadNodeIdInvalid: Quality.CONFIG_ERROR,
    _Codes.BadNodeNotInView: Quality.CONFIG_ERROR,
    _Codes.BadAttributeIdInvalid: Quality.CONFIG_ERROR,
    _Codes.BadIndexRangeInvalid: Quality.CONFIG_ERROR,
    _Codes.BadIndexRangeNoData: Quality.CONFIG_ERROR,
    _Codes.BadNotReadable: Quality.CONFIG_ERROR,
    _Codes.BadUserAccessDenied: Quality.CONFIG_ERROR,
    _Codes.BadConfigurationError: Quality.CONFIG_ERROR,
    _Codes.BadNoCommunication: Quality.NO_COMMUNICATION,
    _Codes.BadNotConnected: Quality.NO_COMMUNICATION,
    _Codes.BadCommunicationError: Quality.NO_COMMUNICATION,
    _Codes.BadWaitingForInitialData: Quality.NOT_YET_READ,
    _Codes.BadDeviceFailure: Quality.DEVICE_FAULT,
    _Codes.BadSensorFailure: Quality.DEVICE_FAULT,
}


def quality_of(code: int) -> Quality:
    """What a StatusCode says about a value; its low 16 bits (limits, overflow) do not matter."""
    if reason := _REASONS.get(code & 0xFFFF0000):
        return reason
    severity = code >> 30
    return Quality.GOOD if severity == 0 else Quality.UNCERTAIN if severity == 1 else Quality.BAD


def qualities_of(codes: NDArray[np.uint32]) -> Bytes:
    """The same for a column; uint8[n]. Nearly always all are good, and then it costs one look."""
    if not codes.any():
        return np.zeros(len(codes), np.uint8)
    kinds, places = np.unique(codes, return_inverse=True)
    table = np.array([quality_of(int(code)) for code in kinds], np.uint8)
    return table[places]


def words(code: int) -> str:
    """The standard's name and sentence: ``BadNotWritable: The access level does not allow …``."""
    name, sentence = get_name_and_doc(code)
    return f"{name}: {sentence}"
