"""Dino on a desktop without a screen. It finds the server by an SRV record."""

from pathlib import Path

import device
import media
from desktop import Desktop
from hall import hall, link, upload
from device import Case, SECONDS, new_account
from dino import Program
from resolver import Resolver

DNS = "127.0.0.77"
OMEMO = "eu.siacs.conversations.axolotl"
KEY = f".//{{{OMEMO}}}preKeyPublic"
DEVICE = f".//{{{OMEMO}}}device"


class Dino(Case):
    async def asyncSetUp(self):
        if reason := Desktop.missing():
            self.skipTest(reason)
        await super().asyncSetUp()
        domain = device.TARGET["domain"]
        self._resolver = await Resolver(
            f"_xmpp-client._tcp.{domain}", domain, device.TARGET["starttls"]).listen(DNS)
        self._desktop = await Desktop(device.TARGET["ca"], DNS).start()
        self._dino = Program(self._desktop)

    async def asyncTearDown(self):
        self._desktop.picture(Path(device.TARGET["logs"], f"{self.id()}.png"))
        self._desktop.close()
        self._resolver.close()
        await super().asyncTearDown()

    async def test_logs_in_and_publishes_keys(self):
        account = new_account("romeo")
        phone = self.device(account, "phone")
        for plugin in ("xep_0060", "xep_0115", "xep_0163"):
            phone.register_plugin(plugin)
        phone["xep_0163"].add_interest(f"{OMEMO}.devicelist")
        await phone.online()
        await self._dino.start(account)
        await phone.expect_presence(f"{account.jid}/dino")
        listed = await phone.expect(lambda s: s.xml.find(DEVICE) is not None, "list of devices")
        # The keys come after the list: who asks for them now gets them as soon as they are there.
        node = f"{OMEMO}.bundles:{listed.xml.find(DEVICE).get('id')}"
        phone["xep_0163"].add_interest(node)
        await phone["xep_0115"].update_caps()
        bundle = await phone.expect(lambda s: s.xml.find(KEY) is not None, "keys")
        self.assertEqual(100, len(bundle.xml.findall(KEY)))
        stranger = self.device(new_account("nurse"), "phone")
        stranger.register_plugin("xep_0060")
        await stranger.online()
        bundle = await stranger["xep_0060"].get_items(account.jid, node, timeout=SECONDS)
        self.assertEqual(100, len(bundle.xml.findall(KEY)))

    async def test_room_with_picture_and_voice_clip(self):
        account = new_account("romeo")
        phone = await self.device(account, "phone").online()
        juliet = await self.device(new_account("juliet"), "desk", "tls").online()
        # It fetches the files of contacts alone.
        await self.befriend(phone, juliet)
        room = await hall(juliet, phone)
        await self._dino.start(account)
        await juliet.expect_presence(f"{room}/Romeo")
        juliet.send_message(mto=room, mbody="Good evening!", mtype="groupchat")
        await self._dino.until("SELECT 1 FROM message WHERE body = 'Good evening!'")
        link(juliet, room, await upload(juliet), "groupchat")
        # 0 is complete: it has fetched the picture. What it shows, GTK 4.8 tells no screen reader.
        await self._dino.until("SELECT 1 FROM file_transfer WHERE file_name = 'evening.png' AND state = 0")
        await media.post_clip(juliet.account, room)
        await self._dino.until("SELECT 1 FROM file_transfer WHERE file_name LIKE 'ptt-%.m4a' AND state = 0")
