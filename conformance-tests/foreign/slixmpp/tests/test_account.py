"""What an account has beside messages: blocking, vCard, private storage, discovery."""

from xml.etree import ElementTree

from slixmpp.exceptions import IqError

import device
from device import Case, SECONDS, is_message, new_account


class Blocking(Case):
    async def test_block_list_and_unblock(self):
        romeo = await self.device(new_account("romeo"), "phone").online()
        plugin = romeo["xep_0191"]
        await plugin.block("tybalt@example.org", timeout=SECONDS)
        self.assertEqual({"tybalt@example.org"},
                         {str(jid) for jid in await plugin.get_blocked_jids(timeout=SECONDS)})
        await plugin.unblock("tybalt@example.org", timeout=SECONDS)
        self.assertEqual(set(), await plugin.get_blocked_jids(timeout=SECONDS))

    async def test_push_to_the_other_device(self):
        phone = await self.device(new_account("romeo"), "phone").online()
        desk = await self.second(phone, "desk")
        await desk["xep_0191"].get_blocked(timeout=SECONDS)
        await phone["xep_0191"].block("tybalt@example.org", timeout=SECONDS)
        await desk.expect(lambda s: s.name == "iq" and s["type"] == "set"
                          and s.xml.find("{urn:xmpp:blocking}block") is not None, "push")

    async def test_blocked_sender_gets_an_error(self):
        romeo, juliet = await self.pair()
        await juliet["xep_0191"].block(romeo.account.jid, timeout=SECONDS)
        romeo.send_message(mto=juliet.account.jid, mbody="let me in", mtype="chat")
        came = await romeo.expect(lambda s: is_message(s) and s["type"] == "error", "error")
        self.assertEqual("service-unavailable", came["error"]["condition"])
        await juliet["xep_0191"].unblock(romeo.account.jid, timeout=SECONDS)
        romeo.send_message(mto=juliet.account.jid, mbody="thanks", mtype="chat")
        await juliet.expect_body("thanks")
        self.assertEqual([], juliet.bodies())

    async def test_message_to_a_blocked_contact_is_refused(self):
        romeo, juliet = await self.pair()
        await romeo["xep_0191"].block(juliet.account.jid, timeout=SECONDS)
        romeo.send_message(mto=juliet.account.jid, mbody="oops", mtype="chat")
        came = await romeo.expect(lambda s: is_message(s) and s["type"] == "error", "error")
        self.assertEqual("not-acceptable", came["error"]["condition"])

    async def test_blocked_contact_sees_us_leave_and_come_back(self):
        romeo, juliet = await self.pair()
        await self.befriend(romeo, juliet)
        await juliet["xep_0191"].block(romeo.account.jid, timeout=SECONDS)
        await romeo.expect_presence(juliet.full, "unavailable")
        await juliet["xep_0191"].unblock(romeo.account.jid, timeout=SECONDS)
        await romeo.expect_presence(juliet.full)


class Storage(Case):
    async def test_vcard(self):
        romeo, juliet = await self.pair()
        vcard = romeo["xep_0054"].make_vcard()
        vcard["FN"] = "Romeo Montague"
        vcard["NICKNAME"] = "R"
        await romeo["xep_0054"].publish_vcard(vcard, timeout=SECONDS)
        for reader, jid in ((romeo, None), (juliet, romeo.account.jid)):
            came = await reader["xep_0054"].get_vcard(jid=jid, local=False, timeout=SECONDS)
            self.assertEqual("Romeo Montague", came["vcard_temp"]["FN"])

    async def test_no_vcard_yet(self):
        romeo, juliet = await self.pair()
        try:
            came = await romeo["xep_0054"].get_vcard(
                jid=juliet.account.jid, local=False, timeout=SECONDS)
        except IqError as error:
            # XEP-0054 3.3 leaves the choice between these and an empty card.
            self.assertIn(error.iq["error"]["condition"], ("item-not-found", "service-unavailable"))
        else:
            self.assertEqual("", came["vcard_temp"]["FN"])

    async def test_vcard_of_another_cannot_be_set(self):
        romeo, juliet = await self.pair()
        vcard = romeo["xep_0054"].make_vcard()
        vcard["FN"] = "Mallory"
        with self.assertRaises(IqError):
            await romeo["xep_0054"].publish_vcard(vcard, jid=juliet.account.jid, timeout=SECONDS)

    async def _private(self, client, content=None):
        """Sets (or gets) the element urn:example:notes of the private storage."""
        request = client.make_iq_set() if content else client.make_iq_get()
        query = ElementTree.SubElement(request.xml, "{jabber:iq:private}query")
        notes = ElementTree.SubElement(query, "{urn:example:notes}notes")
        if content:
            ElementTree.SubElement(notes, "{urn:example:notes}note").text = content
        answer = await request.send(timeout=SECONDS)
        return answer.xml.findtext(".//{urn:example:notes}note")

    async def test_private_storage(self):
        phone = await self.device(new_account("romeo"), "phone").online()
        self.assertIsNone(await self._private(phone))
        await self._private(phone, "meet at nine & bring a rope")
        desk = await self.second(phone, "desk")
        self.assertEqual("meet at nine & bring a rope", await self._private(desk))


class Discovery(Case):
    async def _info(self, client, jid):
        answer = await client["xep_0030"].get_info(jid=jid, timeout=SECONDS)
        return answer["disco_info"]

    async def test_server(self):
        romeo = await self.device(new_account("romeo"), "phone").online()
        info = await self._info(romeo, device.TARGET["domain"])
        self.assertIn(("server", "im"), {(i[0], i[1]) for i in info["identities"]})
        features = set(info["features"])
        for wanted in ("http://jabber.org/protocol/disco#info", "urn:xmpp:ping",
                       "urn:xmpp:blocking", "urn:xmpp:carbons:2", "vcard-temp",
                       "jabber:iq:private", "jabber:iq:last", "jabber:iq:version"):
            self.assertIn(wanted, features)

    async def test_account(self):
        romeo = await self.device(new_account("romeo"), "phone").online()
        info = await self._info(romeo, romeo.account.jid)
        self.assertIn(("account", "registered"), {(i[0], i[1]) for i in info["identities"]})
        self.assertIn("urn:xmpp:mam:2", info["features"])

    async def test_account_of_a_stranger_is_hidden(self):
        romeo, juliet = await self.pair()
        with self.assertRaises(IqError):
            await self._info(romeo, juliet.account.jid)

    async def test_device_answers_itself(self):
        romeo, juliet = await self.pair()
        info = await self._info(romeo, juliet.full)
        self.assertIn("urn:xmpp:receipts", info["features"])

    async def test_items_of_the_server(self):
        romeo = await self.device(new_account("romeo"), "phone").online()
        answer = await romeo["xep_0030"].get_items(jid=device.TARGET["domain"], timeout=SECONDS)
        self.assertEqual("result", answer["type"])

    async def test_ping(self):
        romeo, juliet = await self.pair()
        for jid in (device.TARGET["domain"], romeo.account.jid, juliet.full):
            await romeo["xep_0199"].ping(jid, timeout=SECONDS)

    async def test_version(self):
        romeo = await self.device(new_account("romeo"), "phone").online()
        answer = await romeo["xep_0092"].get_version(device.TARGET["domain"], timeout=SECONDS)
        self.assertTrue(answer["software_version"]["name"])

    async def test_time(self):
        romeo = await self.device(new_account("romeo"), "phone").online()
        answer = await romeo["xep_0202"].get_entity_time(device.TARGET["domain"], timeout=SECONDS)
        self.assertTrue(answer.xml.findtext(".//{urn:xmpp:time}utc").endswith("Z"))

    async def test_uptime_of_the_server(self):
        romeo = await self.device(new_account("romeo"), "phone").online()
        answer = await romeo["xep_0012"].get_last_activity(device.TARGET["domain"], timeout=SECONDS)
        self.assertGreaterEqual(answer["last_activity"]["seconds"], 0)

    async def test_last_activity_of_an_absent_contact(self):
        romeo, juliet = await self.pair()
        await self.befriend(romeo, juliet)
        juliet.send_presence(ptype="unavailable", pstatus="asleep")
        await romeo.expect_presence(juliet.full, "unavailable")
        await juliet.close()
        answer = await romeo["xep_0012"].get_last_activity(juliet.account.jid, timeout=SECONDS)
        self.assertLess(answer["last_activity"]["seconds"], 60)
        self.assertEqual("asleep", answer["last_activity"]["status"])

    async def test_last_activity_is_hidden_from_strangers(self):
        romeo, juliet = await self.pair()
        with self.assertRaises(IqError) as caught:
            await romeo["xep_0012"].get_last_activity(juliet.account.jid, timeout=SECONDS)
        self.assertIn(caught.exception.iq["error"]["condition"],
                      ("forbidden", "service-unavailable"))
