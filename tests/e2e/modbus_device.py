"""A Modbus TCP device in a process of its own that can be told to misbehave.

    python modbus_device.py PORT

Unit 1 only. Input registers from 3x0001 hold ``measured``, holding registers from 4x0001 hold
``held``, float32 each, high word first; 1x0001 is true. Prints ``ready PORT``, then takes lines of
JSON on stdin and answers each with a line: what was written to it so far, and how many requests it
had. Options that stay until they are changed:

    measured, held   lists of numbers
    read             "answer", "silent", "busy" (exception 6), "web" (another protocol)
    write            "take", "refuse" (exception 4), "alter" (keeps half of it), "forget", "silent"
"""

import asyncio
import json
import struct
import sys

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, DEVICE_FAILURE, BUSY, NO_TARGET = 1, 2, 4, 6, 11
WEB = b"HTTP/1.1 400 Bad Request\r\nServer: cam\r\n\r\n<html>This is a camera</html>\r\n"


class Device:
    def __init__(self) -> None:
        self.measured = [1.0, 2.0, 3.0, 4.0]
        self.held = [1000.0]
        self.read = "answer"
        self.write = "take"
        self.written = []
        self.requests = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readexactly(7)
                tid, _, length, unit = struct.unpack(">HHHB", head)
                body = await reader.readexactly(length - 1)
                self.requests += 1
                if self.read == "silent" or (self.write == "silent" and body[0] == 16):
                    continue
                if self.read == "web":
                    writer.write(WEB)
                    writer.close()
                    return
                answer = self.answer(unit, body[0], body[1:])
                writer.write(struct.pack(">HHHB", tid, 0, len(answer) + 1, unit) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def answer(self, unit: int, function: int, data: bytes) -> bytes:
        if unit != 1:
            return bytes([function | 0x80, NO_TARGET])
        if self.read == "busy":
            return bytes([function | 0x80, BUSY])
        try:
            return bytes([function]) + self.handle(function, data)
        except Refused as refused:
            return bytes([function | 0x80, refused.code])

    def handle(self, function: int, data: bytes) -> bytes:
        first, count = struct.unpack(">HH", data[:4])
        if function == 2 and (first, count) == (0, 1):
            return bytes([1, 1])
        if function == 16:
            return self.take(first, data)
        table = {3: self.held, 4: self.measured}.get(function)
        if table is None:
            raise Refused(ILLEGAL_FUNCTION)
        raw = struct.pack(f">{len(table)}f", *table)
        if 2 * (first + count) > len(raw):
            raise Refused(ILLEGAL_ADDRESS)
        return bytes([2 * count]) + raw[2 * first : 2 * (first + count)]

    def take(self, first: int, data: bytes) -> bytes:
        values = struct.unpack(f">{data[4] // 4}f", data[5 : 5 + data[4]])
        self.written += values
        if self.write == "refuse":
            raise Refused(DEVICE_FAILURE)
        if self.write != "forget":
            taken = [value / 2 if self.write == "alter" else value for value in values]
            self.held[first // 2 : first // 2 + len(taken)] = taken
        return data[:4]


class Refused(Exception):
    def __init__(self, code: int) -> None:
        self.code = code


async def main() -> None:
    device = Device()
    server = await asyncio.start_server(device.serve, "127.0.0.1", int(sys.argv[1]))
    say(f"ready {server.sockets[0].getsockname()[1]}")
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        for option, value in json.loads(line).items():
            setattr(device, option, value)
        say(json.dumps({"written": device.written, "requests": device.requests}))


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
