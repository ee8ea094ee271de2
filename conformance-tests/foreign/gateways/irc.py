"""An IRC server, a client of the tests' own, and the gateway between them and the XMPP server."""

import asyncio
import random
import tempfile
from pathlib import Path

import device
from harness.process import Service

SECONDS = 30
# Where gateways look for IRC servers without TLS; they cannot be told another one in an address.
PORT = 6667


class Network:
    """ngircd and biboumi, until `stop`. The server has a loopback address to itself."""

    def __init__(self):
        self.host = f"127.{random.randint(16, 254)}.{random.randint(1, 254)}.{random.randint(1, 254)}"
        self.gateway_domain = f"irc.{device.TARGET['domain']}"
        self._home = tempfile.TemporaryDirectory()
        self._services: list = []

    def start(self) -> "Network":
        self._start_server()
        self.start_gateway()
        return self

    def room(self, channel: str) -> str:
        return f"{channel}%{self.host}@{self.gateway_domain}"

    def _start_server(self):
        config = self._file("ngircd.conf", NGIRCD.format(host=self.host, port=PORT))
        # The service that Debian runs has its log where this one must not write.
        command = ["/usr/sbin/ngircd", "--nodaemon", "--config", config]
        self._run(command, "ngircd", "Now listening on")

    def start_gateway(self):
        config = self._file("biboumi.cfg", BIBOUMI.format(
            domain=self.gateway_domain, secret=device.TARGET["secret"],
            host=device.TARGET["host"], port=device.TARGET["components"],
            database=Path(self._home.name) / "biboumi.sqlite"))
        self._gateway = self._run(["biboumi", config], "biboumi", "Authenticated with the XMPP server")

    def stop_gateway(self):
        self._services.remove(self._gateway)
        self._gateway.stop(SECONDS)

    def _run(self, command: list, name: str, ready: str) -> Service:
        service = Service(command, log=Path(device.TARGET["logs"]) / f"{name}.log")
        self._services.append(service)
        service.wait_line(lambda line: ready in line, SECONDS)
        return service

    def _file(self, name: str, text: str) -> Path:
        path = Path(self._home.name) / name
        path.write_text(text)
        # ngircd reads it as somebody else when root starts it.
        Path(self._home.name).chmod(0o755)
        return path

    def stop(self):
        for service in reversed(self._services):
            service.stop(SECONDS)
        self._home.cleanup()


NGIRCD = """\
[Global]
Name = irc.test.example
Info = test
Listen = {host}
Ports = {port}
MotdPhrase = hello
PidFile =
[Limits]
MaxConnectionsIP = 0
[Options]
DNS = no
Ident = no
PAM = no
"""

BIBOUMI = """\
hostname={domain}
password={secret}
xmpp_server_ip={host}
port={port}
db_name={database}
identd_port=0
log_level=0
"""


class Person:
    """Somebody on IRC (RFC 2812), with nothing but a socket."""

    async def join(self, network: Network, nick: str, channel: str) -> "Person":
        self.channel = channel
        self._reader, self._writer = await asyncio.open_connection(network.host, PORT)
        self._send(f"NICK {nick}", f"USER {nick} 0 * :{nick}")
        await self.expect(" 001 ")
        self._send(f"JOIN {channel}")
        # The end of the list of names.
        await self.expect(" 366 ")
        return self

    def say(self, text: str, to: str = ""):
        self._send(f"PRIVMSG {to or self.channel} :{text}")

    def rename(self, nick: str):
        self._send(f"NICK {nick}")

    async def expect(self, *parts: str) -> str:
        """The next line that contains all of these."""
        async with asyncio.timeout(SECONDS):
            while line := (await self._reader.readline()).decode():
                if line.startswith("PING"):
                    self._send(line.strip().replace("PING", "PONG", 1))
                if all(part in line for part in parts):
                    return line
        raise AssertionError(f"the IRC server has closed; {parts} did not come")

    async def close(self):
        self._writer.close()
        await self._writer.wait_closed()

    def _send(self, *lines: str):
        self._writer.write("".join(f"{line}\r\n" for line in lines).encode())
