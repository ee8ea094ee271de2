"""Dino calls Dino: Jingle, its messages and the addresses for ICE pass the server."""

import asyncio
from pathlib import Path

import device
from desktop import SECONDS, Desktop
from device import Account, Case, new_account
from dino import Program
from resolver import Resolver

DNS = "127.0.0.78"
#: Where its window has the button for calls, and the first entry of the menu that this opens: of GTK 4.8 no screen
#: reader learns.
BUTTON, VOICE = (978, 28), (960, 82)
#: What Dino says once DTLS is done: from then on sound goes from one to the other without us.
SECURED = "Finished DTLS connection"


class DinoCalls(Case):
    async def asyncSetUp(self):
        if reason := Desktop.missing():
            self.skipTest(reason)
        await super().asyncSetUp()
        domain = device.TARGET["domain"]
        self._resolver = await Resolver(
            f"_xmpp-client._tcp.{domain}", domain, device.TARGET["starttls"]).listen(DNS)
        self._desktops: list = []

    async def asyncTearDown(self):
        for number, desktop in enumerate(self._desktops):
            desktop.picture(Path(device.TARGET["logs"], f"{self.id()}-{number}.png"))
            desktop.close()
        self._resolver.close()
        await super().asyncTearDown()

    async def _dino(self, account: Account) -> Program:
        desktop = await Desktop(device.TARGET["ca"], DNS).start()
        self._desktops.append(desktop)
        await desktop.sound()
        return await Program(desktop).start(account)

    async def test_one_calls_the_other(self):
        juliet, romeo = new_account("juliet"), new_account("romeo")
        hers = await self.device(juliet, "phone").online()
        his = await self.device(romeo, "phone").online()
        await self.befriend(hers, his)
        # It has somebody to show.
        for sender, receiver in ((hers, romeo), (his, juliet)):
            sender.send_message(mto=receiver.jid, mbody="Good night!", mtype="chat")
            await sender.disconnect()
        caller, called = await self._dino(juliet), await self._dino(romeo)
        conversation, = await caller.until("SELECT conversation_id FROM content_item")
        await caller.act("open-conversation", f"int32 {conversation}")
        await _call(caller)
        call, = await called.until("SELECT id FROM call")
        conversation, = await called.until("SELECT conversation_id FROM content_item")
        await called.act("accept-call", f"(int32 {conversation}, int32 {call})")
        for dino in (caller, called):
            log = dino.desktop.log
            await dino.desktop.until(lambda: SECURED in log.read_text(errors="replace"), SECURED)


async def _call(dino: Program):
    """The button appears when Dino knows that the other side can be called."""
    async with asyncio.timeout(SECONDS):
        while not dino.rows("SELECT 1 FROM call"):
            await dino.desktop.click(*BUTTON)
            await dino.desktop.click(*VOICE)
            await asyncio.sleep(1)
