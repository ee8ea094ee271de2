"""Presence (RFC 6121 section 4) and where messages go by it (section 8)."""

from device import Case, is_message, new_account


class Presence(Case):
    async def test_reaches_every_device_of_a_contact(self):
        romeo, juliet = await self.pair()
        await self.befriend(romeo, juliet)
        tablet = await self.second(juliet, "tablet")
        await tablet.expect_presence(romeo.full)
        romeo.send_presence(pshow="away", pstatus="in the garden", ppriority=3)
        for device in (juliet, tablet):
            await device.expect(
                lambda s: s.name == "presence" and s["status"] == "in the garden"
                and s["show"] == "away" and s["priority"] == 3, "presence with its details")

    async def test_own_devices_see_each_other(self):
        phone = await self.device(new_account("romeo"), "phone").online()
        desk = await self.second(phone, "desk")
        await phone.expect_presence(desk.full)
        await desk.expect_presence(phone.full)

    async def test_newcomer_gets_the_presence_of_contacts(self):
        romeo, juliet = await self.pair()
        await self.befriend(romeo, juliet)
        juliet.send_presence(pstatus="on the balcony")
        await romeo.expect(lambda s: s.name == "presence" and s["status"] == "on the balcony",
                           "new status")
        desk = await self.second(romeo, "desk")
        came = await desk.expect_presence(juliet.full)
        self.assertEqual("on the balcony", came["status"])

    async def test_unavailable_on_logout(self):
        romeo, juliet = await self.pair()
        await self.befriend(romeo, juliet)
        await romeo.close()
        await juliet.expect_presence(romeo.full, "unavailable")

    async def test_unavailable_with_a_status(self):
        romeo, juliet = await self.pair()
        await self.befriend(romeo, juliet)
        romeo.send_presence(ptype="unavailable", pstatus="gone to Mantua")
        came = await juliet.expect_presence(romeo.full, "unavailable")
        self.assertEqual("gone to Mantua", came["status"])

    async def test_strangers_see_nothing(self):
        romeo, juliet = await self.pair()
        romeo.send_presence(pstatus="secret")
        romeo.send_message(mto=juliet.full, mbody="after it", mtype="chat")
        await juliet.expect_body("after it")
        self.assertFalse([s for s in juliet.received
                          if s.name == "presence" and s["from"].bare == romeo.account.jid])

    async def test_directed_presence_and_its_end(self):
        romeo, juliet = await self.pair()
        romeo.send_presence(pto=juliet.full, pstatus="for you alone")
        came = await juliet.expect_presence(romeo.full)
        self.assertEqual("for you alone", came["status"])
        await romeo.close()
        await juliet.expect_presence(romeo.full, "unavailable")

    async def test_message_to_the_account_reaches_a_device(self):
        romeo, juliet = await self.pair()
        romeo.send_message(mto=juliet.account.jid, mbody="hello", mtype="chat")
        came = await juliet.expect_body("hello")
        self.assertEqual(romeo.full, str(came["from"]))

    async def test_negative_priority_gets_no_message(self):
        romeo, juliet = await self.pair()
        tablet = await self.second(juliet, "tablet")
        tablet.send_presence(ppriority=-1)
        await juliet.expect(lambda s: s.name == "presence" and s["priority"] == -1, "priority -1")
        romeo.send_message(mto=juliet.account.jid, mbody="to the account", mtype="chat")
        await juliet.expect_body("to the account")
        romeo.send_message(mto=tablet.full, mbody="to the tablet", mtype="chat")
        await tablet.expect_body("to the tablet")
        self.assertEqual([], tablet.bodies())

    async def test_error_for_an_unknown_account(self):
        romeo = await self.device(new_account("romeo"), "phone").online()
        request = romeo.make_iq_get(queryxmlns="jabber:iq:version",
                                    ito=f"nobody@{romeo.boundjid.domain}")
        request.send(callback=lambda _: None, timeout=5)
        answer = await romeo.expect(
            lambda s: s.name == "iq" and s["id"] == request["id"], "answer")
        self.assertEqual("service-unavailable", answer["error"]["condition"])

    async def test_headline_is_not_kept_for_an_absent_user(self):
        romeo = await self.device(new_account("romeo"), "phone").online()
        juliet = self.device(new_account("juliet"), "desk", "tls")
        romeo.send_message(mto=juliet.account.jid, mbody="news", mtype="headline")
        romeo.send_message(mto=juliet.account.jid, mbody="kept", mtype="chat")
        await romeo.barrier()
        await juliet.online()
        await juliet.expect_body("kept")
        await juliet.barrier()
        self.assertFalse([s for s in juliet.received if is_message(s) and s["body"] == "news"])
