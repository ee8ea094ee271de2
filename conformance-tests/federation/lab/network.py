"""A network of its own: a switch, a host for each server, and a name server that knows them.

It lies in the namespaces that `main` has made, and goes with them."""

import subprocess
from pathlib import Path

from .dns import NameServer

SUBNET = "10.99.0"
GATE = f"{SUBNET}.1"


class Network:
    def __init__(self, logs: Path):
        self.logs = logs
        self.dns = NameServer()
        self._hosts: dict = {}

    async def start(self) -> "Network":
        # What is written from here on below /run and what resolvers read is seen by nobody else.
        _do("mount", "-t", "tmpfs", "none", "/run")
        Path("/run/resolv.conf").write_text(f"nameserver {GATE}\noptions timeout:2 attempts:3\n")
        _do("mount", "--bind", "/run/resolv.conf", "/etc/resolv.conf")
        _do("ip", "link", "set", "lo", "up")
        _do("ip", "link", "add", "switch", "type", "bridge")
        _do("ip", "addr", "add", f"{GATE}/24", "dev", "switch")
        _do("ip", "link", "set", "switch", "up")
        await self.dns.start(GATE)
        return self

    def host(self, name: str, number: int) -> "Host":
        """The machine of this name, which keeps its cable when its server is another."""
        if name not in self._hosts:
            self._hosts[name] = Host(name, number)
        return self._hosts[name]


class Host:
    """A machine with a cable to the switch."""

    def __init__(self, name: str, number: int):
        self.name = name
        self.address = f"{SUBNET}.{number}"
        self._cable = f"to-{name}"
        _do("ip", "netns", "add", name)
        _do("ip", "link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", name)
        _do("ip", "link", "set", self._cable, "master", "switch", "up")
        self._inside("ip", "link", "set", "lo", "up")
        self._inside("ip", "link", "set", "eth0", "up")
        self._inside("ip", "addr", "add", f"{self.address}/24", "dev", "eth0")

    def command(self, *words) -> list:
        """A command that runs on this host."""
        return ["nsenter", f"--net=/run/netns/{self.name}", *words]

    def cut(self):
        _do("ip", "link", "set", self._cable, "down")

    def mend(self):
        _do("ip", "link", "set", self._cable, "up")

    def move(self, number: int):
        """Gives the host another address in place of the one it had."""
        self._inside("ip", "addr", "del", f"{self.address}/24", "dev", "eth0")
        self.address = f"{SUBNET}.{number}"
        self._inside("ip", "addr", "add", f"{self.address}/24", "dev", "eth0")

    def _inside(self, *words):
        _do(*self.command(*words))


def _do(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
