"""What users of two servers do with each other, in both directions."""

import asyncio
import ssl
import urllib.request
from base64 import b64encode
from hashlib import sha1
from pathlib import Path

from .certificates import Authority
from .client import NS, Client
from .conference import Caller, kick
from .network import Network
from .report import Report
from .servers import Ejabberd, Prosody, Wello

MUC = "http://jabber.org/protocol/muc"
PUBSUB = "http://jabber.org/protocol/pubsub"
MAM = "urn:xmpp:mam:2"
AVATAR = "urn:xmpp:avatar:data"
MOOD = "http://jabber.org/protocol/mood"
CARD = "vcard-temp"
SLOT = "urn:xmpp:http:upload:0"
JMI = "urn:xmpp:jingle-message:0"
PICTURE = b"not quite a picture"

PEERS = (Prosody, Ejabberd)
PROOFS = ("EXTERNAL", "dialback")


class Verona:
    """Romeo at Wello and Juliet at another server."""

    def __init__(self, wello: Wello, romeo: Client, peer, juliet: Client, proof: str):
        self.wello, self.romeo = wello, romeo
        self.peer, self.juliet = peer, juliet
        self.proof = proof

    def both(self):
        """Who does something, and to whom, both ways."""
        return (self.romeo, self.juliet), (self.juliet, self.romeo)


def names() -> list:
    return [f"{proof} {peer.name}: {title}" for proof in PROOFS for peer in PEERS
            for title in CONVERSATIONS]


async def run(network: Network, program: Path, report: Report):
    for proof in PROOFS:
        if report.wants(proof):
            async with report.preparing(proof):
                await _by(proof, network, program, report)


async def _by(proof: str, network: Network, program: Path, report: Report):
    authority = Authority(network.logs / proof / "authority")
    # Without one that both trust, each believes what it asks the other's domain.
    trusted = authority.certificate if proof == "EXTERNAL" else None

    def server(kind, **options):
        certificate = authority.issue(f"{kind.name}.example")
        return kind(network, proof, certificate, trusted, **options)
    servers = [server(Wello, program=program), *(server(peer) for peer in PEERS)]
    await asyncio.gather(*(each.start() for each in servers))
    wello, *peers = servers
    try:
        for peer in peers:
            prefix = f"{proof} {peer.name}: "
            async with report.preparing(prefix):
                await _with(wello, peer, proof, prefix, report)
    finally:
        for each in servers:
            await each.stop()


async def _with(wello: Wello, peer, proof: str, prefix: str, report: Report):
    wants = (f"{MOOD}+notify",)
    romeo = await wello.login("phone", features=wants)
    juliet = await peer.login("desk", features=wants)
    verona = Verona(wello, romeo, peer, juliet, proof)
    try:
        for title, conversation in CONVERSATIONS.items():
            if not report.wants(prefix + title):
                continue
            async with report.test(prefix + title):
                await conversation(verona)
    finally:
        romeo.close()
        juliet.close()


async def messages(verona: Verona):
    for sender, reader in verona.both():
        sender.say(reader.bare, f"é 🚀 &lt;{sender.bare}&gt;")
        await reader.body(f"é 🚀 <{sender.bare}>", sender=sender.full)


async def proof_of_identity(verona: Verona):
    other = "dialback" if verona.proof == "EXTERNAL" else "EXTERNAL"
    assert verona.wello.proofs(verona.proof), f"nobody was let in by {verona.proof}"
    assert not verona.wello.proofs(other), f"somebody was let in by {other}"


async def order(verona: Verona):
    texts = [f"number {number}" for number in range(100)]
    for sender, reader in verona.both():
        reader.forget()
        for text in texts:
            sender.say(reader.bare, text)
        await reader.body(texts[-1])
        assert reader.bodies() == texts[:-1], reader.bodies()


async def subscriptions_and_presence(verona: Verona):
    for asking, asked in verona.both():
        asking.send(f"<presence type='subscribe' to='{asked.bare}'/>")
        await asked.presence(asking.bare, "subscribe")
        asked.send(f"<presence type='subscribed' to='{asking.bare}'/>")
        await asking.presence(asked.bare, "subscribed")
        await asking.presence(asked.full)
    for away, seeing in verona.both():
        away.appear("dnd")
        await seeing.presence(away.full, show="dnd")


async def probes(verona: Verona):
    """A device that has just come learns who is there."""
    for server, (own, other) in zip((verona.wello, verona.peer), verona.both(), strict=True):
        tablet = await server.login("tablet")
        await tablet.presence(other.full, show="dnd")
        await other.presence(tablet.full)
        tablet.close()
        await other.presence(tablet.full, "unavailable")


async def rooms(verona: Verona):
    for host, guest in verona.both():
        room = f"ball@conference.{host.domain}"
        for client in (host, guest):
            await _enter(client, room)
        # A room of Wello's is closed until its owner has configured it.
        await host.presence(f"{room}/{_nick(guest)}")
        for sender, reader in ((host, guest), (guest, host)):
            sender.say(room, f"hello from {_nick(sender)}", kind="groupchat")
            for client in (sender, reader):
                await client.body(f"hello from {_nick(sender)}", sender=f"{room}/{_nick(sender)}",
                                  kind="groupchat")


async def room_archives(verona: Verona):
    for host, guest in verona.both():
        room = f"ball@conference.{host.domain}"
        await guest.ask("set", room, f"<query xmlns='{MAM}' queryid='a'/>")
        path = (f"{{{MAM}}}result/{{urn:xmpp:forward:0}}forwarded/{NS}message/{NS}body")
        for nick in (_nick(host), _nick(guest)):
            await guest.expect(f"what {nick} said", lambda e, nick=nick: (
                e.findtext(path) == f"hello from {nick}"))
        guest.send(f"<presence to='{room}/{_nick(guest)}' type='unavailable'/>")
        await host.presence(f"{room}/{_nick(guest)}", "unavailable")


def _nick(client: Client) -> str:
    return client.bare.split("@")[0]


async def _enter(client: Client, room: str):
    client.send(f"<presence to='{room}/{_nick(client)}'><x xmlns='{MUC}'/></presence>")
    own = await client.presence(f"{room}/{_nick(client)}")
    codes = {status.get("code") for status in own.iter(f"{{{MUC}#user}}status")}
    assert "110" in codes, codes
    if "201" in codes:
        await client.ask("set", room, f"<query xmlns='{MUC}#owner'>"
                                      "<x xmlns='jabber:x:data' type='submit'/></query>")


async def cards(verona: Verona):
    for owner, reader in verona.both():
        await owner.ask("set", "", f"<vCard xmlns='{CARD}'><FN>{_nick(owner)}</FN></vCard>")
        answer = await reader.ask("get", owner.bare, f"<vCard xmlns='{CARD}'/>")
        assert answer.findtext(f"{{{CARD}}}vCard/{{{CARD}}}FN") == _nick(owner)


async def avatars(verona: Verona):
    id_ = sha1(PICTURE).hexdigest()
    data = b64encode(PICTURE).decode()
    for owner, reader in verona.both():
        await _publish(owner, AVATAR, id_, f"<data xmlns='{AVATAR}'>{data}</data>")
        answer = await reader.ask("get", owner.bare, f"<pubsub xmlns='{PUBSUB}'>"
                                  f"<items node='{AVATAR}'><item id='{id_}'/></items></pubsub>")
        assert [each.text for each in answer.iter(f"{{{AVATAR}}}data")] == [data]


async def notifications(verona: Verona):
    """What an account publishes comes to contacts whose devices want it (XEP-0163)."""
    for owner, reader in verona.both():
        await _publish(owner, MOOD, "current", f"<mood xmlns='{MOOD}'><happy/></mood>")
        await reader.expect(f"mood of {owner.bare}", lambda e, owner=owner: (
            e.get("from") == owner.bare and e.find(f".//{{{MOOD}}}happy") is not None))


async def _publish(owner: Client, node: str, id_: str, payload: str):
    await owner.ask("set", "", f"<pubsub xmlns='{PUBSUB}'><publish node='{node}'>"
                               f"<item id='{id_}'>{payload}</item></publish></pubsub>")


async def links_to_files(verona: Verona):
    romeo, juliet = verona.romeo, verona.juliet
    slot = await romeo.ask("get", f"upload.{romeo.domain}",
                           f"<request xmlns='{SLOT}' filename='p.bin' size='{len(PICTURE)}' "
                           "content-type='application/octet-stream'/>")
    put = slot.find(f".//{{{SLOT}}}put")
    headers = {header.get("name"): header.text for header in put}
    headers["Content-Type"] = "application/octet-stream"
    await _fetch(put.get("url"), PICTURE, headers)
    romeo.say(juliet.bare, slot.find(f".//{{{SLOT}}}get").get("url"))
    link = (await juliet.expect("link", lambda e: (e.findtext(f"{NS}body") or "").startswith(
        "https://"))).findtext(f"{NS}body")
    assert await _fetch(link) == PICTURE


async def _fetch(url: str, body: bytes | None = None, headers: dict | None = None) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    method = "PUT" if body else "GET"
    request = urllib.request.Request(url, body, headers or {}, method=method)

    def fetch():
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:
            return answer.read()
    return await asyncio.to_thread(fetch)


async def calls(verona: Verona):
    """Rings all devices, is taken by one, and begins with that one (XEP-0353, XEP-0166)."""
    for caller, called in verona.both():
        sid = f"call-of-{_nick(caller)}"

        def step(name, sid=sid):
            return f"<{name} xmlns='{JMI}' id='{sid}'/>"

        def is_step(name, sid=sid):
            return lambda e: any(x.get("id") == sid for x in e.iter(f"{{{JMI}}}{name}"))
        caller.send(f"<message type='chat' to='{called.bare}' id='{sid}'>"
                    f"<propose xmlns='{JMI}' id='{sid}'>"
                    "<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'/></propose>"
                    "</message>")
        await called.expect("ringing", is_step("propose"))
        called.send(f"<message type='chat' to='{caller.full}'>{step('proceed')}</message>")
        await caller.expect("acceptance", is_step("proceed"))
        asked = asyncio.create_task(caller.ask(
            "set", called.full, "<jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' "
            f"sid='{sid}' initiator='{caller.full}'/>"))
        begun = await called.expect("session", lambda e, sid=sid: any(
            x.get("sid") == sid for x in e.iter("{urn:xmpp:jingle:1}jingle")))
        called.send(f"<iq type='result' id='{begun.get('id')}' to='{begun.get('from')}'/>")
        await asked


async def conferences(verona: Verona):
    """Of a room of Wello's: only who is in it takes part, and only as long."""
    romeo, juliet = verona.romeo, verona.juliet
    room, focus = f"masque@conference.{romeo.domain}", f"masque@calls.{romeo.domain}"
    there, here = Caller(juliet, focus, 2001), Caller(romeo, focus, 1001)
    await _enter(romeo, room)
    await there.is_kept_out()
    await _enter(juliet, room)
    await there.joins()
    await here.joins()
    await there.is_offered(f"{room}/{_nick(romeo)}")
    await here.is_offered(f"{room}/{_nick(juliet)}")
    await kick(romeo, room, _nick(juliet))
    await there.is_put_out()
    await there.is_kept_out()
    romeo.send(f"<presence to='{room}/{_nick(romeo)}' type='unavailable'/>")
    await romeo.presence(f"{room}/{_nick(romeo)}", "unavailable")


async def questions_to_servers(verona: Verona):
    for asking, other in verona.both():
        await asking.ask("get", other.domain, "<ping xmlns='urn:xmpp:ping'/>")
        info = await asking.ask("get", f"conference.{other.domain}",
                                "<query xmlns='http://jabber.org/protocol/disco#info'/>")
        categories = {each.get("category") for each in info[0] if each.get("category")}
        assert categories == {"conference"}, categories


async def nobody(verona: Verona):
    for asking, other in verona.both():
        asking.forget()
        sent = asking.say(f"nobody@{other.domain}", "anybody?")
        await asking.expect("error", lambda e, sent=sent: (
            e.get("id") == sent and e.get("type") == "error"))


CONVERSATIONS = {
    "messages": messages,
    "proof of identity": proof_of_identity,
    "order": order,
    "subscriptions and presence": subscriptions_and_presence,
    "probes": probes,
    "rooms": rooms,
    "archives of rooms": room_archives,
    "cards": cards,
    "avatars": avatars,
    "notifications": notifications,
    "links to files": links_to_files,
    "calls": calls,
    "conferences": conferences,
    "questions to servers": questions_to_servers,
    "nobody": nobody,
}
