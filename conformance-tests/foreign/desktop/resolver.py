"""A DNS server for one SRV record, so that a program finds the server on ports of the test's choice."""

import asyncio
import struct

SRV = 33


class Resolver(asyncio.DatagramProtocol):
    """Answers `name` with `port` of `target`, and everything else with "no such name"."""

    def __init__(self, name: str, target: str, port: int):
        self._name, self._target, self._port = name, target, port

    async def listen(self, address: str) -> "Resolver":
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, (address, 53))
        return self

    def connection_made(self, transport):
        self._transport = transport

    def datagram_received(self, data: bytes, sender):
        self._transport.sendto(self._answer(data), sender)

    def _answer(self, query: bytes) -> bytes:
        name, end = _name(query, 12)
        question = query[12:end + 4]
        asked = struct.unpack(">H", query[end:end + 2])[0]
        found = name.lower() == self._name and asked == SRV
        # A response, recursion available; "no such name" is 3.
        flags = 0x8180 if found else 0x8183
        header = query[:2] + struct.pack(">5H", flags, 1, int(found), 0, 0)
        return header + question + (self._record() if found else b"")

    def _record(self) -> bytes:
        data = struct.pack(">3H", 0, 0, self._port) + _encoded(self._target)
        # The name is that of the question, at 12.
        return struct.pack(">HHHIH", 0xC00C, SRV, 1, 60, len(data)) + data

    def close(self):
        self._transport.close()


def _name(message: bytes, at: int) -> tuple:
    labels = []
    while length := message[at]:
        labels.append(message[at + 1:at + 1 + length].decode("ascii", "replace"))
        at += 1 + length
    return ".".join(labels), at + 1


def _encoded(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
