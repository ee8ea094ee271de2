"""Accounts, and devices that log in to them and wait for stanzas."""

import asyncio
import itertools
import ssl
import subprocess
import unittest
from dataclasses import dataclass
from pathlib import Path

from slixmpp import ClientXMPP
from slixmpp.xmlstream.stanzabase import StanzaBase

# Every wait for the server is bounded by this; a healthy one answers in milliseconds.
SECONDS = 20

CARBONS = "urn:xmpp:carbons:2"

TARGET: dict = {}

PLUGINS = (
    "xep_0012", "xep_0030", "xep_0045", "xep_0049", "xep_0054", "xep_0059", "xep_0065",
    "xep_0085", "xep_0092",
    "xep_0184", "xep_0191", "xep_0198", "xep_0199", "xep_0202", "xep_0203", "xep_0280",
    "xep_0297", "xep_0308", "xep_0313", "xep_0333", "xep_0334", "xep_0352", "xep_0359",
    "xep_0363", "xep_0421", "xep_0425", "xep_0444", "xep_0461",
)

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Account:
    user: str
    password: str

    @property
    def jid(self) -> str:
        return f"{self.user}@{TARGET['domain']}"


def new_account(name: str, password: str = "") -> Account:
    """Registers an account that no other test uses."""
    user = f"{name}-{TARGET['suite']}-{next(_numbers)}"
    account = Account(user, password or f"pass of {name}")
    command = [part.format(user=account.user, password=account.password)
               for part in TARGET["add_user"]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise RuntimeError(f"cannot add {account.jid}: {done.stderr or done.stdout}")
    return account


class Device(ClientXMPP):
    """A client of one account on one transport ("starttls" or "tls")."""

    def __init__(self, account: Account, resource: str, transport: str = "starttls", *,
                 password=None, mechanism=None, ca=None):
        jid = f"{account.jid}/{resource}" if resource else account.jid
        # A context that trusts nothing yet: the environment may name the server's certificate.
        super().__init__(jid, password or account.password, sasl_mech=mechanism,
                         ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        self.account = account
        self.transport_name = transport
        self.ca_certs = Path(ca or TARGET["ca"])
        self.enable_direct_tls = transport == "tls"
        self.enable_starttls = transport == "starttls"
        self.auto_authorize = None
        self.auto_subscribe = False
        for plugin in PLUGINS:
            self.register_plugin(plugin)
        # Requests an acknowledgement after each stanza, so that tests see each.
        self["xep_0198"].window = self["xep_0198"].window_counter = 1
        # The tests send their receipts and markers themselves.
        self["xep_0184"].auto_ack = False
        self.received: list = []
        self._waiters: list = []
        self.add_filter("in", self._record)

    @property
    def full(self) -> str:
        return str(self.boundjid.full)

    async def until(self, *events: str, seconds: float = SECONDS):
        """Connects; returns (name, data) of the first of `events`."""
        first = self.first_of(*events)
        self.connect(TARGET["host"], TARGET[self.transport_name])
        try:
            return await asyncio.wait_for(first, seconds)
        except asyncio.TimeoutError:
            raise AssertionError(f"{self.requested_jid}: none of {', '.join(events)}") from None

    def first_of(self, *events: str) -> asyncio.Future:
        future = asyncio.get_running_loop().create_future()
        for name in events:
            def handler(data, name=name):
                if not future.done():
                    future.set_result((name, data))
            self.add_event_handler(name, handler, disposable=True)
        return future

    async def online(self, *, presence: bool = True, carbons: bool = False) -> "Device":
        """Logs in, asks for the roster and says it is available. Raises on refusal."""
        name, data = await self.until(
            "session_start", "failed_all_auth", "ssl_invalid_chain", "connection_failed")
        if name != "session_start":
            raise ConnectionError(f"{name}: {data}")
        await self.get_roster(timeout=SECONDS)
        if carbons:
            await self["xep_0280"].enable(timeout=SECONDS)
        if presence:
            self.send_presence()
            own = self.full
            await self.expect(lambda s: s.name == "presence" and str(s["from"]) == own, "own presence")
        return self

    async def close(self):
        """Closes the stream and waits until the socket is gone."""
        if self.transport:
            gone = self.first_of("disconnected")
            self.disconnect(wait=2)
            await asyncio.wait_for(gone, SECONDS)

    async def drop(self):
        """Loses the socket without closing the stream."""
        gone = self.first_of("disconnected")
        self.transport.abort()
        await asyncio.wait_for(gone, SECONDS)

    def _record(self, stanza: StanzaBase):
        self.received.append(stanza)
        for match, future in list(self._waiters):
            if not future.done() and match(stanza):
                self.received.remove(stanza)
                future.set_result(stanza)
                break
        return stanza

    async def expect(self, match, what: str, seconds: float = SECONDS) -> StanzaBase:
        """The first stanza that came or comes and matches; it is taken out of `received`."""
        for stanza in self.received:
            if match(stanza):
                self.received.remove(stanza)
                return stanza
        entry = (match, asyncio.get_running_loop().create_future())
        self._waiters.append(entry)
        try:
            return await asyncio.wait_for(entry[1], seconds)
        except asyncio.TimeoutError:
            seen = [str(s)[:200] for s in self.received[-4:]]
            raise AssertionError(f"{self.full} got no {what}; last came {seen}") from None
        finally:
            self._waiters.remove(entry)

    async def expect_body(self, body: str) -> StanzaBase:
        return await self.expect(lambda s: is_message(s) and s["body"] == body,
                                 f"message {body!r}")

    async def expect_presence(self, sender: str, kind: str = "available") -> StanzaBase:
        """Presence from a full JID or from any resource of a bare one."""
        def match(stanza):
            source = stanza["from"]
            return (stanza.name == "presence" and stanza["type"] == kind
                    and sender in (str(source), source.bare))
        return await self.expect(match, f"{kind} presence of {sender}")

    async def barrier(self):
        """Everything the server sent this device before has been recorded."""
        await self["xep_0199"].ping(TARGET["domain"], timeout=SECONDS)

    def bodies(self) -> list:
        return [s["body"] for s in self.received if is_message(s) and s["body"]]


def is_message(stanza) -> bool:
    return stanza.name == "message"


def carbon(direction: str, body: str):
    """Matches a carbon copy ("sent" or "received") of the message with this body."""
    path = f"{{{CARBONS}}}{direction}/{{urn:xmpp:forward:0}}forwarded/{{jabber:client}}message"

    def match(stanza):
        inner = stanza.xml.find(path)
        return inner is not None and inner.findtext("{jabber:client}body") == body
    return match


class Case(unittest.IsolatedAsyncioTestCase):
    """A test with accounts of its own, whose devices are closed at its end."""

    async def asyncSetUp(self):
        self._devices: list = []

    async def asyncTearDown(self):
        for device in self._devices:
            await device.close()
            if device._run_out_filters:
                device._run_out_filters.cancel()

    def device(self, account: Account, resource: str, transport: str = "starttls",
               **options) -> Device:
        device = Device(account, resource, transport, **options)
        self._devices.append(device)
        return device

    async def pair(self, **options) -> tuple:
        """Romeo by STARTTLS and Juliet by direct TLS, both online."""
        romeo = self.device(new_account("romeo"), "phone", "starttls")
        juliet = self.device(new_account("juliet"), "desk", "tls")
        await romeo.online(**options)
        await juliet.online(**options)
        return romeo, juliet

    async def second(self, device: Device, resource: str, **options) -> Device:
        """Another device of the same account, on the other transport."""
        other = "tls" if device.transport_name == "starttls" else "starttls"
        return await self.device(device.account, resource, other).online(**options)

    async def befriend(self, one: Device, two: Device):
        """Subscribes both to each other's presence."""
        for asking, asked in ((one, two), (two, one)):
            asking.send_presence(pto=asked.account.jid, ptype="subscribe")
            await asked.expect_presence(asking.account.jid, "subscribe")
            asked.send_presence(pto=asking.account.jid, ptype="subscribed")
            await asking.expect_presence(asked.account.jid, "subscribed")
            await asking.expect_presence(asked.full)
