"""A component with privileges (XEP-0356), as bridges to other networks are."""

import asyncio
from xml.etree import ElementTree

from slixmpp import ComponentXMPP, JID
from slixmpp.exceptions import IqError
from slixmpp.plugins.xep_0060.stanza import Item
from slixmpp.stanza import Iq

import device
from device import Case, SECONDS, carbon, new_account

STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"


class Bridge(ComponentXMPP):
    def __init__(self):
        self.domain = f"bridge.{device.TARGET['domain']}"
        super().__init__(self.domain, device.TARGET["secret"], device.TARGET["host"],
                         device.TARGET["components"])
        for plugin in ("xep_0030", "xep_0060", "xep_0199", "xep_0297", "xep_0356"):
            self.register_plugin(plugin)

    async def online(self) -> "Bridge":
        """Connects, and has been told what it may."""
        told = asyncio.get_running_loop().create_future()
        self.add_event_handler("privileges_advertised", lambda _=None: told.set_result(None),
                               disposable=True)
        self.connect()
        await asyncio.wait_for(told, SECONDS)
        return self

    async def close(self):
        gone = asyncio.get_running_loop().create_future()
        self.add_event_handler("disconnected", gone.set_result, disposable=True)
        self.disconnect(wait=2)
        await asyncio.wait_for(gone, SECONDS)
        if self._run_out_filters:
            self._run_out_filters.cancel()


class Privileges(Case):
    async def bridge(self) -> Bridge:
        bridge = await Bridge().online()
        self.addAsyncCleanup(bridge.close)
        return bridge

    async def test_what_is_granted_is_told(self):
        bridge = await self.bridge()
        granted = bridge["xep_0356"].granted_privileges[JID(device.TARGET["domain"])]
        self.assertEqual(("both", "outgoing", "managed_entity"),
                         (granted.roster, granted.message, granted.presence))
        self.assertEqual("both", granted.iq["http://jabber.org/protocol/pubsub"])

    async def test_roster(self):
        bridge = await self.bridge()
        romeo = await self.device(new_account("romeo"), "phone").online()
        contact = f"juliet@{bridge.domain}"
        items = {contact: {"name": "Juliet", "subscription": "none", "groups": ["Bridge"]}}
        await bridge["xep_0356"].set_roster(romeo.account.jid, items, timeout=SECONDS)
        await romeo.expect(lambda s: s.name == "iq" and contact in str(s), "roster push")
        roster = await bridge["xep_0356"].get_roster(romeo.account.jid, timeout=SECONDS)
        self.assertEqual("Juliet", roster["roster"]["items"][JID(contact)]["name"])

    async def test_messages_in_the_name_of_a_user(self):
        bridge = await self.bridge()
        romeo, juliet = await self.pair(carbons=True)
        message = bridge.make_message(mto=juliet.account.jid, mbody="from my other network",
                                      mfrom=romeo.account.jid, mtype="chat")
        bridge["xep_0356"].send_privileged_message(message)
        came = await juliet.expect_body("from my other network")
        self.assertEqual(romeo.account.jid, str(came["from"]))
        await romeo.expect(carbon("sent", "from my other network"), "copy")

    async def test_requests_in_the_name_of_a_user(self):
        bridge = await self.bridge()
        account = new_account("romeo")
        iq = Iq(stype="set", sfrom=account.jid, sto=account.jid)
        item = Item()
        item["id"] = "1"
        item["payload"] = ElementTree.Element("{urn:example:mood}mood")
        iq["pubsub"]["publish"]["node"] = "urn:example:mood"
        iq["pubsub"]["publish"].append(item)
        answer = await bridge["xep_0356"].send_privileged_iq(iq)
        self.assertEqual("result", answer["type"])

    async def test_presence_of_users(self):
        bridge = await self.bridge()
        seen = asyncio.get_running_loop().create_future()
        romeo = self.device(new_account("romeo"), "phone")

        def note(presence):
            if presence["from"].bare == romeo.account.jid and not seen.done():
                seen.set_result(presence)
        bridge.add_event_handler("presence_available", note)
        await romeo.online()
        presence = await asyncio.wait_for(seen, SECONDS)
        self.assertEqual(romeo.full, str(presence["from"]))

    async def test_what_is_not_granted_is_forbidden(self):
        bridge = await self.bridge()
        romeo, juliet = await self.pair()
        with self.assertRaises(IqError) as refused:
            iq = bridge.make_iq_get(ifrom=bridge.domain, ito=romeo.account.jid)
            iq.append(ElementTree.Element("{urn:xmpp:blocking}blocklist"))
            await iq.send(timeout=SECONDS)
        # In one program with clients, slixmpp reads errors of their namespace alone.
        self.assertIsNotNone(refused.exception.iq.xml.find(f".//{{{STANZAS}}}forbidden"))
        forged = bridge.make_message(mto=juliet.account.jid, mbody="forged", mtype="chat",
                                     mfrom=romeo.full)
        bridge["xep_0356"].send_privileged_message(forged)
        await bridge["xep_0199"].ping(device.TARGET["domain"], ifrom=bridge.domain, timeout=SECONDS)
        await juliet.barrier()
        self.assertNotIn("forged", juliet.bodies())
