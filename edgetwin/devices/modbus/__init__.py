"""Modbus TCP: one unit behind one connection.

driver   the seam of edgetwin.devices.driver, and what is known of the connection
scan     the block reads of one scan group, and the hunt for an illegal address
writing  one write: send, take the echo, read back, compare
line     the connection: window, priority, deadlines; hands each reply to its request
framing  the byte stream cut to frames, or the finding that it is no Modbus
ask      a request: its bytes, and what its reply must look like
words    the protocol's codes and the network's errors in sentences with a cure
"""

from edgetwin.devices.modbus.driver import ModbusDriver as ModbusDriver
