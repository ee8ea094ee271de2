"""A device of one user, by raw stanzas over TLS. Shares no code with any server."""

import asyncio
import base64
import hashlib
import itertools
import ssl
from xml.etree import ElementTree

NS = "{jabber:client}"
DISCO = "http://jabber.org/protocol/disco#info"
CAPS = "http://jabber.org/protocol/caps"
# Servers of others look each other up and shake hands within it, on a busy machine.
SECONDS = 30


class Client:
    """`features`: what it says that it can do (XEP-0115), and answers when it is asked."""

    def __init__(self, domain: str, user: str, resource: str, *, features: tuple = ()):
        self.domain = domain
        self.bare = f"{user}@{domain}"
        self.full = f"{self.bare}/{resource}"
        self.features = features
        self.received: list = []
        self._arrived = asyncio.Condition()
        self._ids = itertools.count(1)

    async def login(self, address: str, password: str) -> "Client":
        # Clients are not what is tested: they take any certificate.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._reader, self._writer = await asyncio.open_connection(
            address, 5223, ssl=context, server_hostname=self.domain)
        user, resource = self.bare.split("@")[0], self.full.split("/")[1]
        secret = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        await self._open()
        self.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{secret}</auth>")
        await self.expect("success", lambda e: e.tag.endswith("}success"))
        self._reading.cancel()
        await self._open()
        await self.ask("set", "", "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
                                  f"<resource>{resource}</resource></bind>")
        # Who asks for the roster is told of subscriptions (RFC 6121, section 2.2).
        await self.ask("get", "", "<query xmlns='jabber:iq:roster'/>")
        self.appear()
        await self.presence(self.full)
        return self

    def appear(self, show: str = ""):
        """Says that it is there, and what it can do."""
        shown = f"<show>{show}</show>" if show else ""
        caps = (f"<c xmlns='{CAPS}' hash='sha-1' node='urn:test' ver='{self._hash()}'/>"
                if self.features else "")
        self.send(f"<presence>{shown}{caps}</presence>")

    def close(self):
        """Without a farewell, which not every server answers."""
        self._reading.cancel()
        self._writer.transport.abort()

    def send(self, xml: str):
        self._writer.write(xml.encode())

    async def flush(self):
        """Waits until what was sent has been taken from us."""
        await self._writer.drain()

    def say(self, to: str, text: str, *, kind: str = "chat", more: str = "") -> str:
        """Sends a message; returns its id."""
        id_ = f"m{next(self._ids)}"
        self.send(f"<message to='{to}' type='{kind}' id='{id_}'><body>{text}</body>{more}</message>")
        return id_

    async def expect(self, what: str, match, seconds: float = SECONDS):
        """The first element that came or comes and matches; it is taken out of `received`."""
        def found():
            return next((element for element in self.received if match(element)), None)
        try:
            async with asyncio.timeout(seconds), self._arrived:
                await self._arrived.wait_for(lambda: found() is not None)
                element = found()
                self.received.remove(element)
                return element
        except TimeoutError:
            last = [ElementTree.tostring(e).decode()[:300] for e in self.received[-3:]]
            raise AssertionError(f"{self.full} got no {what}; there is {last}") from None

    async def body(self, text: str, *, sender: str = "", kind: str = "", seconds: float = SECONDS):
        """A message with this text."""
        return await self.expect(f"message {text!r}", lambda e: (
            e.tag == f"{NS}message" and e.findtext(f"{NS}body") == text
            and e.get("type") != "error"
            and e.get("from", "").startswith(sender) and kind in ("", e.get("type"))), seconds)

    async def presence(self, sender: str, kind: str | None = None, show: str = ""):
        """Presence of this type from an address or one below it."""
        return await self.expect(f"presence {kind or ''} of {sender}", lambda e: (
            e.tag == f"{NS}presence" and e.get("type") == kind
            and f"{e.get('from')}/".startswith(f"{sender}/")
            and show in ("", e.findtext(f"{NS}show"))))

    async def ask(self, kind: str, to: str, payload: str):
        """Sends a request; returns its result, and raises if that is an error."""
        id_ = f"q{next(self._ids)}"
        address = f" to='{to}'" if to else ""
        self.send(f"<iq type='{kind}' id='{id_}'{address}>{payload}</iq>")
        answer = await self.expect(f"answer of {to or 'the server'}", lambda e: (
            e.tag == f"{NS}iq" and e.get("id") == id_ and e.get("type") in ("result", "error")))
        if answer.get("type") == "error":
            raise AssertionError(ElementTree.tostring(answer).decode())
        return answer

    def errors(self) -> list:
        """The ids of messages that came back."""
        return [e.get("id") for e in self.received
                if e.tag == f"{NS}message" and e.get("type") == "error"]

    def bodies(self) -> list:
        texts = (e.findtext(f"{NS}body") for e in self.received
                 if e.tag == f"{NS}message" and e.get("type") != "error")
        return [text for text in texts if text]

    def forget(self):
        self.received.clear()

    async def _open(self):
        self.send("<?xml version='1.0'?><stream:stream xmlns='jabber:client' version='1.0' "
                  f"xmlns:stream='http://etherx.jabber.org/streams' to='{self.domain}'>")
        self._reading = asyncio.create_task(self._read())
        await self.expect("features", lambda e: e.tag.endswith("}features"))

    async def _read(self):
        parser, depth, root = ElementTree.XMLPullParser(("start", "end")), 0, None
        while data := await self._reader.read(65536):
            parser.feed(data)
            for event, element in parser.read_events():
                depth += 1 if event == "start" else -1
                root = element if root is None else root
                if event == "end" and depth == 1:
                    root.remove(element)
                    await self._take(element)

    async def _take(self, element):
        query = element.find(f"{{{DISCO}}}query")
        if element.get("type") == "get" and query is not None and self.features:
            return self._tell(element, query)
        async with self._arrived:
            self.received.append(element)
            self._arrived.notify_all()

    def _tell(self, request, query):
        features = "".join(f"<feature var='{feature}'/>" for feature in sorted(self.features))
        node = f" node='{query.get('node')}'" if query.get("node") else ""
        self.send(f"<iq type='result' id='{request.get('id')}' to='{request.get('from')}'>"
                  f"<query xmlns='{DISCO}'{node}><identity category='client' type='pc' name='t'/>"
                  f"{features}</query></iq>")

    def _hash(self) -> str:
        text = "client/pc//t<" + "".join(f"{feature}<" for feature in sorted(self.features))
        return base64.b64encode(hashlib.sha1(text.encode()).digest()).decode()
