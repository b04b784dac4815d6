"""The Modbus driver keeps the contract of all drivers, against pymodbus's server."""


async def test_driver_keeps_the_contract(check, bench):
    await check(bench)
