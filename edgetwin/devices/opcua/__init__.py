"""OPC UA: one server as a device, polled or by subscription. The only door to asyncua.

    driver ─▶ link ─▶ session       reaches the server: certificates (pki), channel, log-in
                 ├──▶ survey        which node is which, and what lies in it
                 ├──▶ polling       scan groups that are asked
                 ├──▶ subscription  scan groups that report by themselves
                 ├──▶ writing       setpoints, read back
                 └──▶ lane | stock  requests out, columns in: the fast way, and asyncua's own

A link is one connection; after any trouble the driver throws it away and makes a new one.
"""

from edgetwin.devices.opcua.driver import OpcuaDriver as OpcuaDriver
