"""Modbus: units on TCP, TLS, serial lines and serial servers, each line shared by its units.

driver   the seam of edgetwin.devices.driver, and what is known of the connection
scan     the block reads of one scan group, and the hunt for an illegal address
writing  one write: send, take the echo, read back, compare
lane     one unit's place on a line: what waits, how it has answered
debts    replies that a unit may still send, on lines without transaction ids
probing  when a unit that fell silent is asked again
line     one connection: window, turns, deadlines; hands each reply to its request
framing  the byte stream of Modbus TCP cut to frames, or the finding that it is no Modbus
rtu      the reply found in a byte stream of RTU
port     the place that units share, and its one line
reach    ways to it: TCP, TLS, or
serial   a serial port as a transport
ask      a request: its bytes, and what its reply must look like
stage    the driver before a device in memory, for rehearsals
words    the protocol's codes and the network's errors in sentences with a cure
"""

from edgetwin.devices.modbus.driver import ModbusDriver as ModbusDriver
