"""profanity in a terminal, chatting with slixmpp devices."""

import tempfile
from pathlib import Path

import device
from device import Account, Case, SECONDS, carbon, is_message, new_account
from relay import Relay
from screen import Screen

RESULT = "{urn:xmpp:mam:2}result"
BODY = "{urn:xmpp:forward:0}forwarded/{jabber:client}message/{jabber:client}body"


class Profanity(Case):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self._screens: list = []

    async def asyncTearDown(self):
        for screen in self._screens:
            print(f"-- {self.id()}\n{screen.text().strip()}", flush=True)
            screen.close()
        await super().asyncTearDown()

    async def _connect(self, account: Account, port: int, policy: str, ca: str) -> Screen:
        home = tempfile.mkdtemp(prefix="profanity-", dir=device.TARGET["logs"])
        config = Path(home, "config", "profanity")
        config.mkdir(parents=True)
        # The splash and the sound of the bell are of no use here; a lost connection is taken
        # up again after a second.
        (config / "profrc").write_text(
            "[ui]\nsplash=false\nbeep=false\n[connection]\nreconnect=1\ncarbons=true\n")
        screen = Screen(["profanity"], {
            "XDG_CONFIG_HOME": f"{home}/config", "XDG_DATA_HOME": f"{home}/data",
            "SSL_CERT_FILE": ca})
        self._screens.append(screen)
        await screen.expect(r"Profanity\. Type /help")
        screen.type(f"/connect {account.jid}/profanity server {device.TARGET['host']} "
                    f"port {port} tls {policy}")
        await screen.expect("Enter password:")
        screen.type(account.password)
        return screen

    async def _online(self, account: Account, *, port=None, tls=False) -> Screen:
        port = port or device.TARGET["tls" if tls else "starttls"]
        screen = await self._connect(account, port, "legacy" if tls else "force",
                                     device.TARGET["ca"])
        await screen.expect("logged in successfully")
        return screen

    async def _chat(self, tls: bool):
        """A chat with carbons to another device, and its history."""
        account = new_account("romeo")
        romeo = await self.device(account, "tablet", "tls").online(carbons=True)
        juliet = await self.device(new_account("juliet"), "desk", "starttls").online()
        screen = await self._online(account, tls=tls)
        await romeo.expect_presence(f"{account.jid}/profanity")

        screen.type(f"/msg {juliet.account.jid} hello from the terminal")
        came = await juliet.expect_body("hello from the terminal")
        self.assertEqual(f"{account.jid}/profanity", str(came["from"]))
        await romeo.expect(carbon("sent", "hello from the terminal"), "carbon of the sent message")

        juliet.send_message(mto=came["from"], mbody="hello, terminal é", mtype="chat")
        await screen.expect("hello, terminal é")
        await romeo.expect(carbon("received", "hello, terminal é"), "carbon of the answer")

        romeo.send_message(mto=juliet.account.jid, mbody="from my other device", mtype="chat")
        await juliet.expect_body("from my other device")
        await screen.expect("from my other device")

        page = await romeo["xep_0313"].retrieve(with_jid=juliet.account.jid, timeout=SECONDS)
        bodies = [r.xml.find(RESULT).findtext(BODY) for r in page["mam"]["results"]]
        self.assertEqual(
            ["hello from the terminal", "hello, terminal é", "from my other device"],
            [body for body in bodies if body])

    async def test_chat_by_starttls(self):
        await self._chat(tls=False)

    async def test_chat_by_direct_tls(self):
        await self._chat(tls=True)

    async def test_history_on_the_screen(self):
        account = new_account("romeo")
        juliet = await self.device(new_account("juliet"), "desk", "starttls").online()
        romeo = await self.device(account, "tablet", "tls").online()
        romeo.send_message(mto=juliet.account.jid, mbody="long ago", mtype="chat")
        came = await juliet.expect_body("long ago")
        juliet.send_message(mto=came["from"], mbody="and far away", mtype="chat")
        await romeo.expect_body("and far away")
        await romeo.close()
        screen = await self._online(account)
        screen.type("/mam on")
        screen.type(f"/msg {juliet.account.jid}")
        await screen.expect("long ago")
        await screen.expect("and far away")

    async def test_partner_resumes_while_the_terminal_writes(self):
        account = new_account("romeo")
        juliet = await self.device(new_account("juliet"), "desk", "tls").online()
        screen = await self._online(account)
        screen.type(f"/msg {juliet.account.jid} are you there?")
        await juliet.expect_body("are you there?")
        await juliet.drop()
        screen.type("still there?")
        await screen.expect("still there")
        name, _ = await juliet.until("session_resumed", "session_start", "failed_all_auth")
        self.assertEqual("session_resumed", name)
        await juliet.expect_body("still there?")
        await juliet.barrier()
        self.assertEqual([], juliet.bodies())

    async def test_terminal_comes_back_after_a_cut(self):
        account = new_account("romeo")
        relay = await Relay().to(device.TARGET["host"], device.TARGET["starttls"])
        self.addCleanup(relay.close)
        juliet = await self.device(new_account("juliet"), "desk", "tls").online()
        screen = await self._online(account, port=relay.port)
        screen.type(f"/msg {juliet.account.jid} before the cut")
        came = await juliet.expect_body("before the cut")
        relay.cut()
        juliet.send_message(mto=came["from"], mbody="meanwhile", mtype="chat")
        await screen.expect("meanwhile")
        screen.type("after the cut")
        await juliet.expect_body("after the cut")
        self.assertFalse([s for s in juliet.received if is_message(s) and s["body"]])

    async def test_wrong_ca_fails(self):
        account = new_account("romeo")
        for port, policy in (("starttls", "force"), ("tls", "legacy")):
            screen = await self._connect(account, device.TARGET[port], policy,
                                         device.TARGET["wrong_ca"])
            await screen.expect("TLS certificate verification failed")
            self.assertNotIn("logged in successfully", screen.text())
