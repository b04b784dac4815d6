"""The OPC UA driver keeps the contract of all drivers, against asyncua's server."""


async def test_driver_keeps_the_contract(check, bench):
    await check(bench)
