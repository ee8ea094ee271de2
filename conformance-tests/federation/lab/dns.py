"""A name server (RFC 1035) for the domains of the servers and what lies below them."""

import asyncio
import ipaddress
import struct

A, SRV = 1, 33
NO_ERROR, NO_SUCH_NAME = 0x8580, 0x8583
# Short, so that a change is seen soon.
TTL = 1
SERVICES = {"_xmpp-server._tcp.": 5269, "_xmpps-server._tcp.": 5270}


class NameServer(asyncio.DatagramProtocol):
    def __init__(self):
        self._addresses: dict = {}
        self._direct_tls: set = set()
        # It does not answer.
        self.is_silent = False

    async def start(self, address: str):
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, (address, 53))

    def publish(self, domain: str, address: str, *, direct_tls: bool = False):
        """From now on the domain, and all below it, are at this address."""
        self._addresses[domain] = address
        (self._direct_tls.add if direct_tls else self._direct_tls.discard)(domain)

    def connection_made(self, transport):
        self._transport = transport

    def datagram_received(self, data, addr):
        if self.is_silent:
            return
        name, end = _read_name(data)
        kind, = struct.unpack_from("!H", data, end)
        records, known = self._look_up(name, kind)
        answers = b"".join(struct.pack("!HHHIH", 0xC00C, kind, 1, TTL, len(record)) + record
                           for record in records)
        header = data[:2] + struct.pack("!HHHHH", NO_ERROR if known else NO_SUCH_NAME,
                                        1, len(records), 0, 0)
        self._transport.sendto(header + data[12:end + 4] + answers, addr)

    def _look_up(self, name: str, kind: int) -> tuple:
        """The records, and whether there is such a name."""
        service = next((service for service in SERVICES if name.startswith(service)), "")
        domain = self._domain(name[len(service):])
        if domain is None:
            return [], False
        if kind == A and not service:
            return [ipaddress.ip_address(self._addresses[domain]).packed], True
        offered = not service.startswith("_xmpps") or domain in self._direct_tls
        if kind == SRV and service and offered:
            target = _written(f"xmpp.{domain}")
            return [struct.pack("!HHH", 1, 0, SERVICES[service]) + target], True
        return [], True

    def _domain(self, name: str):
        return next((domain for domain in self._addresses
                     if name == domain or name.endswith(f".{domain}")), None)


def _read_name(data: bytes) -> tuple:
    labels, at = [], 12
    while length := data[at]:
        labels.append(data[at + 1:at + 1 + length].decode().lower())
        at += 1 + length
    return ".".join(labels), at + 1


def _written(name: str) -> bytes:
    labels = (label.encode() for label in name.split("."))
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
