"""A serial port: a pseudo terminal here, with ten units at its far end, one of them dead."""

import asyncio
import errno
import fcntl
import os
import struct
import tty

import pytest

from edgetwin.core.errors import DeviceLost
from edgetwin.core.plan import DevicePlan, ModbusSettings, ScanGroup, SerialForm, Transport
from edgetwin.core.quality import Quality
from edgetwin.devices.modbus import ModbusDriver, words
from edgetwin.devices.modbus.rtu import crc

DEAD = 10


class Bus:
    """Units that hold in each register their own number and the register's address."""

    def __init__(self):
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self.master, False)
        self.path = os.ttyname(self.slave)
        self.asked = []
        self.noise = b""
        asyncio.get_running_loop().add_reader(self.master, self._answer)

    def _answer(self):
        request = os.read(self.master, 4096)
        assert len(request) == 8, "one request at a time, and whole"
        assert crc(request[:-2]) == request[-2:]
        unit, function, first, count = struct.unpack(">BBHH", request[:6])
        self.asked.append(unit)
        if unit == DEAD:
            return
        data = struct.pack(f">{count}H", *(256 * unit + first + i for i in range(count)))
        body = bytes([unit, function, len(data)]) + data
        os.write(self.master, self.noise + body + crc(body))

    def close(self):
        if self.master >= 0:
            asyncio.get_running_loop().remove_reader(self.master)
            os.close(self.slave)
            os.close(self.master)
            self.master = -1


@pytest.fixture
async def bus():
    bus = Bus()
    yield bus
    bus.close()


@pytest.fixture
async def made(bus, virtual, conformance):
    """``made(unit)``: a driver of three registers on the bus, and its sink."""
    drivers = []

    def make(unit, path=bus.path, timeout=100_000_000, baud=115200):
        sink = conformance.Recorder()
        settings = ModbusSettings(
            path, 0, unit, timeout, transport=Transport.SERIAL, serial=SerialForm(baud)
        )
        plan = DevicePlan(0, f"unit{unit}", "modbus", settings, (ScanGroup(0, 10**8, range(3)),))
        drivers.append(ModbusDriver(plan, virtual.holding_tags([3]), sink, lambda: None))
        return drivers[-1], sink

    yield make
    for driver in drivers:
        await driver.close()


async def refusal(driver):
    with pytest.raises(DeviceLost) as lost:
        await driver.connect()
    return str(lost.value)


async def test_ten_units_share_one_port_and_nine_are_scanned_on_beside_a_dead_one(bus, made):
    """On the wire; the share of scans kept is held in test_sharing.py, on a clock without noise."""
    units = [made(unit, timeout=300_000_000) for unit in range(1, 11)]
    for driver, _ in units:
        await driver.connect()
    dead, silent = units[-1]
    lost = asyncio.create_task(dead.lost())
    async with asyncio.timeout(10):
        while not lost.done():
            dead.start_scan(0)
            await asyncio.wait({lost}, timeout=0.02)
    assert "unit 10 did not answer 3 times" in str(lost.exception())
    begun, asked = len(bus.asked), [0] * 9
    wanted = [len(sink.batches) for _, sink in units]
    for _ in range(30):
        for i, (driver, _) in enumerate(units[:9]):
            is_asked = driver.start_scan(0)
            wanted[i] += is_asked
            asked[i] += is_asked
        with pytest.raises(DeviceLost, match="unit 10"):
            await dead.connect()  # too early for a probe
        await asyncio.sleep(0.1 - asyncio.get_running_loop().time() % 0.1)
    for (_, sink), count in zip(units[:9], wanted, strict=False):
        await sink.until(lambda s=sink, n=count: len(s.batches) == n, "all its scans")
    assert sum(asked) >= 0.9 * 9 * 30
    good = [sink.batches[-count:] for (_, sink), count in zip(units[:9], asked, strict=True)]
    for number, batches in enumerate(good, 1):
        for batch in batches:
            assert batch.values.tolist() == [256 * number + i for i in range(3)]
    assert DEAD not in bus.asked[begun:]
    assert set(silent.quality.values()) == {Quality.NO_COMMUNICATION}


async def test_noise_before_each_reply_costs_no_value(bus, made):
    bus.noise = b"\x00\xff"
    driver, sink = made(1)
    await driver.connect()
    for _ in range(5):
        sink.heard.clear()
        driver.start_scan(0)
        await sink.until(lambda: len(sink.heard) == 3, "three registers")
        assert set(sink.quality.values()) == {Quality.GOOD}


async def test_an_adapter_pulled_out_is_told_and_so_is_its_absence(bus, made):
    driver, _ = made(1)
    await driver.connect()
    bus.close()
    with pytest.raises(DeviceLost, match=f"unit1 at {bus.path}: the port"):
        await asyncio.wait_for(driver.lost(), 5)
    await driver.close()
    assert "there is no such port. Check that the adapter is plugged in" in await refusal(driver)


async def test_a_port_that_another_program_holds_is_not_shared_with_it(bus, made):
    held = os.open(bus.path, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(held, fcntl.LOCK_EX)
    driver, _ = made(1)
    assert "another program uses it" in await refusal(driver)
    os.close(held)
    await driver.connect()


async def test_a_file_that_is_no_port_is_told(made, tmp_path):
    path = tmp_path / "ttyUSB0"
    path.touch()
    driver, _ = made(1, str(path))
    assert "it cannot be set up as a serial port" in await refusal(driver)


async def test_a_speed_that_the_system_does_not_know_is_told(made):
    driver, _ = made(1, baud=12345)
    assert "cannot set" in await refusal(driver)


def test_a_port_without_the_right_to_open_it_names_the_group():
    text = words.unreachable(PermissionError(errno.EACCES, "Permission denied"), Transport.SERIAL)
    assert "usermod -aG dialout edgetwin" in text
