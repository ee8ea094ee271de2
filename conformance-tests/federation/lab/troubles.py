"""What goes wrong between servers, and what must not go wrong with it."""

import asyncio
import signal
from pathlib import Path

from .certificates import Authority, Flaw
from .client import Client
from .network import Network
from .report import Report
from .servers import Ejabberd, Prosody, Wello
from .website import Website

PEERS = (Prosody, Ejabberd)
FLAWS = [flaw for flaw in Flaw if flaw != Flaw.NONE]
OUTBOX_BYTES = 1024 * 1024
# TCP tries again after waits that double, so what was cut takes up to twice as long to go on.
CUT_SECONDS = 8
# Longer than anybody waits for an acknowledgement.
LONG_CUT_SECONDS = 65
PATIENCE = 60
LONG_PATIENCE = 2 * LONG_CUT_SECONDS
MEBIBYTE = 1024 * 1024


class Pair:
    """Romeo's server and Juliet's, and an authority that both trust."""

    def __init__(self, network: Network, program: Path, kind: type):
        self.network = network
        lab = _lab(kind)
        self.authority = Authority(network.logs / lab / "authority")
        self.stranger = Authority(network.logs / lab / "stranger")
        self.wello = Wello(network, lab, self._good(Wello), self.authority.certificate,
                           program=program, s2s=f"outbox_bytes = {OUTBOX_BYTES}\n"
                           f"stanza_bytes = {OUTBOX_BYTES // 2}\n")
        self.peer = kind(network, lab, self._good(kind), self.authority.certificate)

    def _good(self, kind):
        return self.authority.issue(f"{kind.name}.example")

    async def start(self) -> "Pair":
        await asyncio.gather(self.wello.start(), self.peer.start())
        self.romeo = await self.wello.login("phone")
        self.juliet = await self.peer.login("desk")
        return self

    async def login_again(self):
        """Juliet's server was away."""
        self.juliet.close()
        self.juliet = await self.peer.login("desk")

    async def talk(self, seconds: float = PATIENCE):
        """A message each way, after as many attempts as it takes, each of which may take so long."""
        for sender, reader in ((self.romeo, self.juliet), (self.juliet, self.romeo)):
            await _until_heard(sender, reader, seconds)

    async def stop(self):
        for each in (self.romeo, self.juliet):
            each.close()
        for each in (self.wello, self.peer):
            await each.stop()


def names() -> list:
    return [_name(kind, title) for kind in PEERS for title in TROUBLES]


async def run(network: Network, program: Path, report: Report):
    for kind in PEERS:
        if report.wants(_lab(kind)):
            async with report.preparing(_lab(kind)):
                await _with(kind, network, program, report)


async def _with(kind: type, network: Network, program: Path, report: Report):
    pair = await Pair(network, program, kind).start()
    try:
        for title, trouble in TROUBLES.items():
            if report.wants(_name(kind, title)):
                async with report.test(_name(kind, title)):
                    await trouble(pair)
    finally:
        await pair.stop()


def _lab(kind: type) -> str:
    return f"trouble {kind.name}"


def _name(kind: type, title: str) -> str:
    return f"{_lab(kind)}: {title}"


async def _until_heard(sender: Client, reader: Client, seconds: float):
    """A server may believe for a moment that the other one is away; then it says so."""
    for attempt in range(PATIENCE):
        sent = sender.say(reader.bare, f"attempt {attempt}")
        heard = asyncio.create_task(reader.body(f"attempt {attempt}", seconds=seconds))
        refused = asyncio.create_task(_refusal(sender, sent, seconds))
        done, pending = await asyncio.wait({heard, refused}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        if heard in done:
            heard.result()
            return
        await asyncio.sleep(1)
    raise AssertionError(f"{reader.bare} was never reached")


async def _refusal(sender: Client, sent: str, seconds: float = PATIENCE):
    return await sender.expect(f"error for {sent}", lambda e: (
        e.get("id") == sent and e.get("type") == "error"), seconds)


async def _is_refused(sender: Client, reader: Client, text: str):
    sent = sender.say(reader.bare, text)
    await _refusal(sender, sent)
    assert text not in reader.bodies()


def _flawed(pair: Pair, domain: str, flaw: Flaw):
    authority = pair.stranger if flaw == Flaw.UNKNOWN else pair.authority
    return authority.issue(domain, flaw)


def certificate_of_the_other(flaw: Flaw):
    """Neither side of a server that cannot prove who it is gets through to Wello."""
    async def trouble(pair: Pair):
        good = pair.peer.shown
        try:
            pair.peer.show(_flawed(pair, pair.peer.domain, flaw))
            await pair.peer.restart()
            await pair.login_again()
            await _is_refused(pair.romeo, pair.juliet, f"to somebody {flaw.value}")
            await _is_refused(pair.juliet, pair.romeo, f"from somebody {flaw.value}")
        finally:
            pair.peer.show(good)
            await pair.peer.restart()
            await pair.login_again()
        await pair.talk()
    return trouble


async def website(pair: Pair):
    """A certificate of another name is good both ways while the website of the domain names it (POSH)."""
    good, other = pair.peer.shown, pair.authority.issue("hosting.example")
    try:
        async with Website(pair.peer, good, other):
            pair.peer.show(other)
            await pair.peer.restart()
            await pair.login_again()
            await pair.talk()
            assert "the website of its domain (POSH)" in pair.wello.log()
    finally:
        pair.peer.show(good)
        await pair.peer.restart()
        await pair.login_again()
    await pair.talk()


async def restart(pair: Pair):
    """The other server stops in good order and comes back."""
    await pair.peer.restart()
    await pair.login_again()
    await pair.talk()


async def own_restart(pair: Pair):
    await pair.wello.restart()
    pair.romeo.close()
    pair.romeo = await pair.wello.login("phone")
    await pair.talk()


async def kill(pair: Pair):
    """The other server dies with messages on their way: none comes twice, and none is returned twice.

    What it had passed on and not acknowledged is returned all the same, since nobody can know."""
    pair.romeo.forget()
    sent = [pair.romeo.say(pair.juliet.bare, f"kill {number}") for number in range(200)]
    await pair.juliet.body("kill 20")
    await pair.peer.kill()
    before = pair.juliet.bodies()
    await pair.peer.start()
    await pair.login_again()
    await pair.talk()
    heard = [text for text in before + pair.juliet.bodies() if text.startswith("kill")]
    returned = [each for each in pair.romeo.errors() if each in sent]
    assert len(heard) == len(set(heard)), "a message came twice"
    assert len(returned) == len(set(returned)), "a message was returned twice"


async def cut(pair: Pair):
    """A cable is out for a while: everything arrives, in order, once, and nothing is returned."""
    await pair.talk()
    pair.romeo.forget()
    pair.juliet.forget()
    pair.peer.host.cut()
    texts = [f"cut {number}" for number in range(30)]
    for text in texts:
        pair.romeo.say(pair.juliet.bare, text)
    await asyncio.sleep(CUT_SECONDS)
    pair.peer.host.mend()
    await pair.juliet.body(texts[-1], seconds=PATIENCE)
    assert pair.juliet.bodies() == texts[:-1], pair.juliet.bodies()
    assert not pair.romeo.errors(), "something was returned"


async def long_cut(pair: Pair):
    """A cable is out for longer than anybody waits: what does not arrive is returned, and nothing comes twice.

    What was on its way when the servers gave up may be both, since nobody can know."""
    await pair.talk()
    for each in (pair.romeo, pair.juliet):
        each.forget()
    pair.peer.host.cut()
    sent = {pair.romeo: {}, pair.juliet: {}}
    for second in range(LONG_CUT_SECONDS):
        # Juliet's client is as far away as her server.
        text = f"long {second}"
        sent[pair.romeo][pair.romeo.say(pair.juliet.bare, text)] = text
        sent[pair.juliet][pair.juliet.say(pair.romeo.bare, text)] = text
        await asyncio.sleep(1)
    pair.peer.host.mend()
    await pair.talk(LONG_PATIENCE)
    for sender, reader in ((pair.romeo, pair.juliet), (pair.juliet, pair.romeo)):
        await _settle(sender, reader, sent[sender])


async def _settle(sender: Client, reader: Client, sent: dict):
    """Waits until each message has been heard or returned; none may be so twice."""
    def outcomes():
        heard = [text for text in reader.bodies() if text in sent.values()]
        return heard, [sent[each] for each in sender.errors() if each in sent]
    async with asyncio.timeout(PATIENCE):
        while len(set().union(*outcomes())) < len(sent):
            await asyncio.sleep(0.2)
    heard, returned = outcomes()
    order = list(sent.values())
    assert heard == sorted(set(heard), key=order.index), "out of order, or twice"
    assert len(returned) == len(set(returned)), "a message was returned twice"


async def silent_dns(pair: Pair):
    """The name server is away while the other server comes back."""
    await pair.peer.stop()
    pair.network.dns.is_silent = True
    try:
        sent = pair.romeo.say(pair.juliet.bare, "to nowhere")
        await _refusal(pair.romeo, sent)
    finally:
        pair.network.dns.is_silent = False
        await pair.peer.start()
        await pair.login_again()
    await pair.talk()
    assert "to nowhere" not in pair.juliet.bodies()


async def slow(pair: Pair):
    """The other server does not read: what waits for it is bounded, the rest comes back."""
    await pair.talk()
    pair.romeo.forget()
    pair.juliet.forget()
    before = pair.wello.resident_bytes()
    pair.peer.signal(signal.SIGSTOP)
    filling = "x" * 16_000
    texts = {}
    try:
        # Twelve times what may wait, and more than the system holds for a connection.
        for number in range(800):
            texts[pair.romeo.say(pair.juliet.bare, f"slow {number} {filling}")] = number
            await pair.romeo.flush()
        await pair.romeo.ask("get", pair.wello.domain, "<ping xmlns='urn:xmpp:ping'/>")
        grown = pair.wello.resident_bytes() - before
    finally:
        pair.peer.signal(signal.SIGCONT)
    await pair.talk()
    returned = [texts[each] for each in pair.romeo.errors() if each in texts]
    heard = [int(text.split()[1]) for text in pair.juliet.bodies() if text.startswith("slow")]
    assert returned, "nothing was returned"
    assert heard == sorted(set(heard)), "out of order, or twice"
    assert sorted(heard + returned) == sorted(texts.values()), "lost, or heard and returned"
    # What one message takes on its way is small beside what waits; archives write as they go.
    assert grown < 48 * MEBIBYTE, f"{grown / MEBIBYTE:.0f} MiB more"


async def new_address(pair: Pair):
    """The other server moves, and DNS with it."""
    await pair.peer.stop()
    pair.peer.host.move(pair.peer.number + 100)
    await pair.peer.start()
    await pair.login_again()
    await pair.talk()


TROUBLES = {
    # Before there was no website, which is remembered for a while.
    "a certificate that only the website names": website,
    **{f"a certificate that is {flaw.value}": certificate_of_the_other(flaw) for flaw in FLAWS},
    "the other server restarts": restart,
    "Wello restarts": own_restart,
    "the other server is killed": kill,
    "a cut cable": cut,
    "a cable that is cut for a minute": long_cut,
    "a server that does not read": slow,
    "no name server": silent_dns,
    "a new address": new_address,
}
