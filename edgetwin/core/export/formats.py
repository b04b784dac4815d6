"""The formats that a twin's description can be written in."""

from collections.abc import Callable, Mapping

from edgetwin.core.export.aas import environment
from edgetwin.core.export.ditto import thing
from edgetwin.core.export.dtdl import interfaces
from edgetwin.core.export.td import thing_description
from edgetwin.core.plan import GatewayPlan

FORMATS: Mapping[str, Callable[[GatewayPlan], object]] = {
    "td": thing_description,
    "dtdl": interfaces,
    "aas": environment,
    "ditto": thing,
}
