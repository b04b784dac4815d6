"""A Modbus gateway as a process of its own: ``python gateway_process.py`` prints its port.

unit 1    holding registers from 4x0001: a float32 (ABCD) that moves about 71.4, 0.82 (CDAB), a
          float64 that moves about 1013, 1450, the text P-101; coils; nothing else is known
          says who it is in two parts: ACME, then P-101 and V1.2
unit 7    input registers 3x0101 to 3x0200 hold 7 each
unit 8    answers reads of discrete inputs; all other questions it leaves without an answer
unit 9    is there, but silent
100 on    the same as unit 1
others    exception 11: nobody there

A write ends the process with an error: nothing here may ever write.
"""

import asyncio
import itertools
import os
import struct
import sys

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, NOBODY = 1, 2, 11
_steps = itertools.cycle([0.031, -0.047, 0.012, -0.009, 0.043, -0.025, 0.017])


def words_of_unit_1() -> bytes:
    step = next(_steps)
    low_first = struct.pack(">f", 0.82)
    parts = [struct.pack(">f", 71.4 + step), low_first[2:] + low_first[:2]]
    parts += [struct.pack(">d", 1013.2 + step), struct.pack(">H", 1450), b"P-101\0"]
    return b"".join(parts)


def answer(unit: int, function: int, first: int, count: int) -> bytes:
    unit = 1 if unit >= 100 else unit
    if unit not in {1, 7}:
        return bytes([function | 0x80, NOBODY])
    if (unit, function) == (1, 1):
        size = (count + 7) // 8
        return bytes([1, size]) + b"\x05" + bytes(size - 1)
    held = {(1, 3): words_of_unit_1(), (7, 4): bytes(200) + b"\0\7" * 100}.get((unit, function))
    if held is None:
        return bytes([function | 0x80, ILLEGAL_FUNCTION])
    start = 100 if unit == 7 else 0
    if first < start or 2 * (first + count) > len(held):
        return bytes([function | 0x80, ILLEGAL_ADDRESS])
    return bytes([function, 2 * count]) + held[2 * first : 2 * (first + count)]


def identity(unit: int, first: int) -> bytes | None:
    if unit != 1:
        return None if unit in {8, 9} else bytes([43 | 0x80, ILLEGAL_FUNCTION])
    if first == 0:
        return bytes([43, 14, 1, 1, 0xFF, 1, 1, 0, 4]) + b"ACME"
    return bytes([43, 14, 1, 1, 0, 0, 2, 1, 5]) + b"P-101" + bytes([2, 6]) + b"V1.2\x1b\0"


def reply_to(unit: int, body: bytes) -> bytes | None:
    if body[0] == 43:
        return identity(unit, body[3])
    if unit == 8:
        return bytes([2, 1, 0]) if body[0] == 2 else None
    return None if unit == 9 else answer(unit, body[0], *struct.unpack(">HH", body[1:5]))


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            tid, _, length, unit = struct.unpack(">HHHB", await reader.readexactly(7))
            body = await reader.readexactly(length - 1)
            if body[0] not in {1, 2, 3, 4, 43}:
                os._exit(3)
            reply = reply_to(unit, body)
            if reply is not None:
                writer.write(struct.pack(">HHHB", tid, 0, len(reply) + 1, unit) + reply)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
