"""Stream management (XEP-0198) and client state (XEP-0352)."""

import asyncio

from device import Case, Device, SECONDS, carbon, new_account


class Resumption(Case):
    async def _resume(self, device: Device) -> str:
        name, _ = await device.until("session_resumed", "session_start", "failed_all_auth")
        return name

    async def test_stanzas_are_acknowledged(self):
        romeo, juliet = await self.pair()
        acked = romeo.first_of("stanza_acked")
        # slixmpp asks each time that it is about to send the last one of so many; the second time what it sent
        # before can be acknowledged.
        for _ in range(2 * romeo["xep_0198"].window):
            romeo.send_message(mto=juliet.full, mbody="count me", mtype="chat")
        _, stanza = await asyncio.wait_for(acked, SECONDS)
        self.assertIn(stanza.name, ("message", "presence", "iq"))

    async def _drop_and_resume(self, transport: str):
        romeo = await self.device(new_account("romeo"), "phone", transport).online()
        juliet = await self.device(new_account("juliet"), "desk", "tls").online()
        before = romeo.full
        await romeo.drop()
        self.assertEqual("session_resumed", await self._resume(romeo))
        self.assertEqual(before, romeo.full)
        romeo.send_message(mto=juliet.full, mbody="back again", mtype="chat")
        await juliet.expect_body("back again")
        juliet.send_message(mto=romeo.full, mbody="welcome", mtype="chat")
        await romeo.expect_body("welcome")

    async def test_resume_by_starttls(self):
        await self._drop_and_resume("starttls")

    async def test_resume_by_direct_tls(self):
        await self._drop_and_resume("tls")

    async def test_what_came_meanwhile_is_delivered_once_and_in_order(self):
        romeo, juliet = await self.pair()
        await romeo.drop()
        texts = [f"meanwhile {number}" for number in range(20)]
        for text in texts:
            juliet.send_message(mto=romeo.full, mbody=text, mtype="chat")
        await juliet.barrier()
        self.assertEqual("session_resumed", await self._resume(romeo))
        await romeo.expect_body("meanwhile 19")
        await romeo.barrier()
        self.assertEqual(texts[:-1], romeo.bodies())

    async def test_what_the_client_had_not_acknowledged_comes_again(self):
        romeo, juliet = await self.pair()
        # As if it had been lost with the socket: neither counted nor acknowledged.
        handled = romeo["xep_0198"].handled
        romeo["xep_0198"].send_ack = lambda: None
        juliet.send_message(mto=romeo.full, mbody="lost on the way", mtype="chat")
        await romeo.expect_body("lost on the way")
        await romeo.drop()
        romeo["xep_0198"].handled = handled
        self.assertEqual("session_resumed", await self._resume(romeo))
        await romeo.expect_body("lost on the way")

    async def test_contacts_do_not_see_the_break(self):
        romeo, juliet = await self.pair()
        await self.befriend(romeo, juliet)
        await romeo.drop()
        self.assertEqual("session_resumed", await self._resume(romeo))
        romeo.send_message(mto=juliet.full, mbody="marker", mtype="chat")
        await juliet.expect_body("marker")
        self.assertFalse([s for s in juliet.received
                          if s["type"] == "unavailable" and str(s["from"]) == romeo.full])

    async def test_carbons_stay_on(self):
        romeo, juliet = await self.pair(carbons=True)
        tablet = await self.second(juliet, "tablet", carbons=True)
        await tablet.drop()
        self.assertEqual("session_resumed", await self._resume(tablet))
        romeo.send_message(mto=juliet.full, mbody="copied still", mtype="chat")
        await tablet.expect(carbon("received", "copied still"), "carbon")

    async def test_resume_while_the_old_socket_is_still_open(self):
        """XEP-0198 5: the server ends the old stream and hands over the session."""
        romeo, juliet = await self.pair()
        newer = self.device(romeo.account, "phone", "tls")
        newer["xep_0198"].sm_id = romeo["xep_0198"].sm_id
        newer["xep_0198"].handled = romeo["xep_0198"].handled
        self.assertEqual("session_resumed", await self._resume(newer))
        juliet.send_message(mto=romeo.full, mbody="to the new socket", mtype="chat")
        await newer.expect_body("to the new socket")

    async def test_unknown_session_falls_back_to_a_new_one(self):
        romeo = self.device(new_account("romeo"), "phone")
        romeo["xep_0198"].sm_id = "no-such-session"
        self.assertEqual("session_start", await self._resume(romeo))
        await romeo.get_roster(timeout=SECONDS)

    async def test_session_of_another_account_cannot_be_resumed(self):
        romeo, juliet = await self.pair()
        await romeo.drop()
        thief = self.device(juliet.account, "phone")
        thief["xep_0198"].sm_id = romeo["xep_0198"].sm_id
        self.assertEqual("session_start", await self._resume(thief))
        self.assertEqual("session_resumed", await self._resume(romeo))

    async def test_closed_stream_cannot_be_resumed(self):
        romeo = await self.device(new_account("romeo"), "phone").online()
        old = romeo["xep_0198"].sm_id
        await romeo.close()
        again = self.device(romeo.account, "phone")
        again["xep_0198"].sm_id = old
        self.assertEqual("session_start", await self._resume(again))


class ClientState(Case):
    async def test_inactive_client_still_gets_messages_and_the_last_presence(self):
        romeo, juliet = await self.pair()
        await self.befriend(romeo, juliet)
        self.assertTrue(romeo["xep_0352"].enabled)
        romeo["xep_0352"].send_inactive()
        await romeo.barrier()
        for number in range(10):
            juliet.send_presence(pstatus=f"status {number}")
        juliet.send_message(mto=romeo.full, mbody="urgent", mtype="chat")
        await romeo.expect_body("urgent")
        romeo["xep_0352"].send_active()
        await romeo.expect(lambda s: s.name == "presence" and s["status"] == "status 9",
                           "last presence")

    async def test_inactive_client_gets_answers(self):
        romeo, _ = await self.pair()
        romeo["xep_0352"].send_inactive()
        await romeo.barrier()
        await romeo.get_roster(timeout=SECONDS)
