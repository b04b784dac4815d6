"""Drivers: one protocol each, behind the one seam (driver.py)."""

DRIVERS = {
    "modbus": "edgetwin.devices.modbus:ModbusDriver",
    "opcua": "edgetwin.devices.opcua:OpcuaDriver",
}
"""Driver name → "module:Class", imported only when a configured device asks for it."""

STAGES = {"modbus": "edgetwin.devices.modbus.stage:Stage"}
"""The same for those that can be rehearsed: see ``runtime.rehearsal``."""
