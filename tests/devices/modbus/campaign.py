"""The campaign: a device that spoils three replies in ten, and a judge who knows the truth.

What is told of each reply is its body (unit, function, data); the device's speech (virtual.py) puts
header or checksum around it. So every way of spoiling is there once, for each framing.
"""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

import edgetwin_virtual_modbus as virtual  # loaded by path: see conftest.py
import numpy as np

from edgetwin.core.errors import DeviceLost
from edgetwin.core.reading import ReadingBatch, WriteResult
from edgetwin.core.tags import TagTable
from edgetwin.devices.modbus import ModbusDriver

SIZES = [3, 5, 8, 13, 21, 34]
"""Registers per block, all different: with several requests in flight, Modbus TCP gives no other
way to tell two replies apart whose transaction ids a device has exchanged."""

ALIKE = [8] * 6
"""All replies look the same: on RTU nothing tells one from another but what is owed."""

STRANGE = {"do_junk", "do_junk_before", "do_junk_behind", "do_protocol", "do_length"}
TCP_ONLY = {"do_protocol", "do_length", "do_other_id"}
RTU_ONLY = {"do_checksum", "do_echo"}
SECOND_HAND = {"do_replay", "do_previous_only", "do_duplicate"}
"""An old reply once more, unasked: where all look alike, RTU cannot tell it (debts.py)."""


class Saboteur:
    """Spoils replies in every way that a device, a gateway or a network has been seen to."""

    def __init__(self, seed: int, share: float, without: set[str]) -> None:
        self.random = random.Random(seed)
        self.share = share
        self.done: Counter[str] = Counter()
        self._last = b""
        self._ways = [name for name in dir(self) if name.startswith("do_") and name not in without]

    def __call__(self, wire, reply: bytes) -> None:
        self.speech = wire.device.speech
        if self.random.random() > self.share:
            wire.deliver(reply, self._soon())
        else:
            way = self.random.choice(self._ways)
            self.done[way[3:]] += 1
            getattr(self, way)(wire, reply)
        self._last = reply

    def _soon(self) -> float:
        return self.random.uniform(0.0005, 0.02)

    def _junk(self, most: int) -> bytes:
        return self.random.randbytes(self.random.randint(1, most))

    def _change(self, wire, reply, change) -> None:
        """Send the reply with another body, honest about its length and checksum."""
        number, body = self.speech.unseal(reply)
        wire.deliver(self.speech.seal(number, change(body)), self._soon())

    def do_late(self, wire, reply):
        wire.deliver(reply, self.random.uniform(0.02, 0.35))

    def do_drop(self, wire, reply):
        """Nothing comes."""

    def do_cut(self, wire, reply):
        wire.deliver(reply[: self.random.randrange(1, len(reply))], self._soon())

    def do_cut_and_whole(self, wire, reply):
        cut = reply[: self.random.randrange(4, len(reply))]
        wire.deliver(cut + reply, self._soon())

    def do_duplicate(self, wire, reply):
        wire.deliver(reply + reply, self._soon())
        if not self.speech.in_order:
            wire.deliver(reply, self.random.uniform(0.02, 0.3))

    def do_pieces(self, wire, reply):
        at = self.random.randrange(1, len(reply))
        wire.deliver(reply[:at], self._soon(), reply[at:])

    def do_other_id(self, wire, reply):
        tid = int.from_bytes(reply[:2], "big")
        wrong = self.random.choice([0, tid - 1 & 0xFFFF, tid ^ 0x8000])
        wire.deliver(wrong.to_bytes(2, "big") + reply[2:], self._soon())

    def do_replay(self, wire, reply):
        wire.deliver((self._last or reply) + reply, self._soon())

    def do_previous_only(self, wire, reply):
        if self._last != reply:
            wire.deliver(self._last, self._soon())

    def do_protocol(self, wire, reply):
        wire.deliver(reply[:2] + b"\0\1" + reply[4:], self._soon())

    def do_length(self, wire, reply):
        length = self.random.choice([0, 1, 0xFFFF, len(reply) - 7, len(reply) - 5, len(reply)])
        wire.deliver(reply[:4] + length.to_bytes(2, "big") + reply[6:], self._soon())

    def do_checksum(self, wire, reply):
        at, bit = self.random.randrange(len(reply)), 1 << self.random.randrange(8)
        wire.deliver(reply[:at] + bytes([reply[at] ^ bit]) + reply[at + 1 :], self._soon())

    def do_echo(self, wire, reply):
        """The request comes back first, as on two wires."""
        wire.deliver(wire.sent[-1] + reply, self._soon())

    def do_unit(self, wire, reply):
        self._change(wire, reply, lambda body: b"\x09" + body[1:])

    def do_function(self, wire, reply):
        self._change(wire, reply, lambda body: body[:1] + b"\x04" + body[2:])

    def do_byte_count(self, wire, reply):
        self._change(wire, reply, lambda body: body[:2] + bytes([body[2] + 2 & 0xFF]) + body[3:])

    def do_fewer(self, wire, reply):
        self._resize(wire, reply, lambda data: data[:-2])

    def do_more(self, wire, reply):
        self._resize(wire, reply, lambda data: data + b"\0\x55")

    def do_odd(self, wire, reply):
        self._resize(wire, reply, lambda data: data[:-1])

    def do_empty(self, wire, reply):
        self._resize(wire, reply, lambda data: b"")

    def _resize(self, wire, reply, change):
        def resized(body):
            data = change(body[3:])
            return body[:2] + bytes([len(data)]) + data

        self._change(wire, reply, resized)

    def do_exception(self, wire, reply):
        code = self.random.choice([1, 4, 5, 6, 10, 11, 77])
        self._change(wire, reply, lambda body: body[:1] + bytes([0x83, code]))

    def do_junk(self, wire, reply):
        wire.deliver(self._junk(300), self._soon())

    def do_junk_before(self, wire, reply):
        wire.deliver(self._junk(20) + reply, self._soon())

    def do_junk_behind(self, wire, reply):
        wire.deliver(reply + self._junk(20), self._soon())

    def do_flood(self, wire, reply):
        number, body = self.speech.unseal(reply)
        strange = self.speech.seal(bytes(each ^ 0x55 for each in number), b"\x09" + body[1:])
        wire.deliver(strange * 20, self._soon())

    def do_close(self, wire, reply):
        wire.deliver(reply[:7], self._soon())
        wire.loop.call_later(0.02, wire.abort)


class Mangler(Saboteur):
    """Every reply is malformed: a byte of its head wrong, cut off, or no reply at all."""

    def __call__(self, wire, reply: bytes) -> None:
        frame, chance = bytearray(reply), self.random
        way = chance.choice(["head", "cut", "junk"])
        self.done[way] += 1
        if way == "head":  # 9 bytes over TCP; of RTU, which has a checksum, any
            most = len(frame) if wire.device.speech.in_order else 9
            frame[chance.randrange(most)] ^= chance.randrange(1, 256)
        elif way == "cut":
            del frame[chance.randrange(len(frame)) :]
        else:
            frame = bytearray(self._junk(300))
        wire.deliver(bytes(frame), self._soon())


@dataclass
class Judge:
    """A sink that compares each good value with what the device held when it was last asked."""

    device: virtual.Device
    tags: TagTable
    good: int = 0
    bad: int = 0
    wrong: list[str] = field(default_factory=list)
    heard: int = 0

    def readings(self, batch: ReadingBatch) -> None:
        self.heard += len(batch.values)
        if not isinstance(batch.quality, int):
            self.bad += 1
            assert (batch.quality >= 0x80).all()
            assert np.isnan(batch.values).all()
            return
        self.good += 1
        first = self.tags[batch.tags.start].address.offset
        if batch.values.tolist() != self.device.truth[first]:
            self.wrong.append(f"{first}: {batch.values} for {self.device.truth[first]}")

    def confirmed(self, tags: range) -> None:
        raise AssertionError("Modbus never confirms")

    def written(self, result: WriteResult) -> None:
        raise AssertionError("nothing was written")


@dataclass
class Report:
    """What came of a campaign."""

    good: int
    bad: int
    wrong: list[str]
    losses: int
    spoiled: Counter[str]
    counters: object


def campaign(
    reads: int,
    seed: int,
    in_flight: int = 1,
    *,
    framing: str = "tcp",
    alike: bool = False,
    mangled: bool = False,
) -> Report:
    """Read ``reads`` blocks from a device that spoils three replies in ten.

    Args:
        reads: blocks, good or bad.
        seed: of the chance.
        in_flight: with more than one, what is no Modbus at all is left out (framing.py).
        framing: tcp or rtu.
        alike: all blocks have one size; then old replies sent once more are left out.
        mangled: no reply is right.
    """
    speech = virtual.TcpSpeech() if framing == "tcp" else virtual.RtuSpeech()
    without = RTU_ONLY if framing == "tcp" else TCP_ONLY
    without |= STRANGE if in_flight > 1 else set()
    without |= SECOND_HAND if alike else set()
    saboteur = (Mangler if mangled else Saboteur)(seed, 0.3, without)
    device = virtual.Device(
        lambda n: [saboteur.random.randrange(65536) for _ in range(n)], saboteur
    )
    device.speech = speech
    loop = virtual.VirtualLoop(device)
    tags = virtual.holding_tags(ALIKE if alike else SIZES)
    judge = Judge(device, tags)
    settings = {"timeout": 100_000_000, "in_flight": in_flight, "max_gap": 0}
    driver = virtual.make_driver(loop, judge, tags, **settings)
    try:
        losses = loop.run_until_complete(_run(driver, judge, reads))
    finally:
        loop.run_until_complete(driver.close())
        loop.close()
    return Report(judge.good, judge.bad, judge.wrong, losses, saboteur.done, driver.counters)


async def _run(driver: ModbusDriver, judge: Judge, reads: int) -> int:
    losses = 0
    while judge.good + judge.bad < reads:
        await driver.connect()
        lost = asyncio.create_task(driver.lost())
        while not lost.done() and judge.good + judge.bad < reads:
            before = judge.heard
            driver.start_scan(0)
            await asyncio.sleep(0.005)  # even where all is known at once, time goes on
            while judge.heard < before + len(judge.tags) and not lost.done():  # noqa: ASYNC110
                await asyncio.sleep(0.005)  # virtual: costs no time, and an Event costs more
        lost.cancel()
        try:
            await lost
        except (DeviceLost, asyncio.CancelledError):
            losses += 1
    return losses
