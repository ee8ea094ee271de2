"""Rooms (XEP-0045) and what belongs to them."""

import itertools

from slixmpp import JID
from slixmpp.exceptions import IqError, PresenceError

import device
from device import Case, SECONDS, is_message

_numbers = itertools.count(1)


class Rooms(Case):
    async def room(self, owner, **config) -> JID:
        """A room that the owner is in."""
        service = f"conference.{device.TARGET['domain']}"
        room = JID(f"hall-{device.TARGET['suite']}-{next(_numbers)}@{service}")
        plugin = owner["xep_0045"]
        await plugin.join_muc_wait(room, "owner", timeout=SECONDS)
        form = await plugin.get_room_config(room, timeout=SECONDS)
        for name, value in config.items():
            form.field[f"muc#roomconfig_{name}"]["value"] = value
        form["type"] = "submit"
        await plugin.set_room_config(room, form, timeout=SECONDS)
        return room

    async def test_join_talk_and_leave(self):
        romeo, juliet = await self.pair()
        room = await self.room(juliet)
        rooms = romeo["xep_0045"]
        _, subject, occupants, _ = await rooms.join_muc_wait(room, "romeo", timeout=SECONDS)
        self.assertFalse(subject["subject"])
        self.assertEqual({"owner"}, {one["from"].resource for one in occupants} - {"romeo"})
        romeo.send_message(mto=room, mbody="hello all", mtype="groupchat")
        for client in (romeo, juliet):
            came = await client.expect_body("hello all")
            self.assertEqual(f"{room}/romeo", str(came["from"]))
        romeo["xep_0045"].leave_muc(room, "romeo")
        await juliet.expect_presence(f"{room}/romeo", "unavailable")

    async def test_history_and_subject(self):
        romeo, juliet = await self.pair()
        room = await self.room(juliet)
        for body in ("one", "two"):
            juliet.send_message(mto=room, mbody=body, mtype="groupchat")
            await juliet.expect_body(body)
        juliet["xep_0045"].set_subject(room, "Balconies")
        await juliet.expect(lambda s: is_message(s) and s["subject"] == "Balconies", "subject")
        _, subject, _, history = await romeo["xep_0045"].join_muc_wait(
            room, "romeo", maxstanzas=5, timeout=SECONDS)
        self.assertEqual(["one", "two"], [message["body"] for message in history])
        self.assertEqual("Balconies", subject["subject"])

    async def test_password(self):
        romeo, juliet = await self.pair()
        room = await self.room(juliet, passwordprotectedroom=True, roomsecret="wherefore")
        with self.assertRaises(PresenceError) as refused:
            await romeo["xep_0045"].join_muc_wait(room, "romeo", timeout=SECONDS)
        self.assertEqual("not-authorized", refused.exception.presence["error"]["condition"])
        await romeo["xep_0045"].join_muc_wait(room, "romeo", password="wherefore", timeout=SECONDS)

    async def test_nick_conflict_and_change(self):
        romeo, juliet = await self.pair()
        room = await self.room(juliet)
        with self.assertRaises(PresenceError):
            await romeo["xep_0045"].join_muc_wait(room, "owner", timeout=SECONDS)
        await romeo["xep_0045"].join_muc_wait(room, "romeo", timeout=SECONDS)
        await romeo["xep_0045"].set_self_nick(room, "montague", timeout=SECONDS)
        await juliet.expect_presence(f"{room}/montague")

    async def test_roles_and_affiliations(self):
        romeo, juliet = await self.pair()
        room = await self.room(juliet, moderatedroom=True)
        await romeo["xep_0045"].join_muc_wait(room, "romeo", timeout=SECONDS)
        rooms = juliet["xep_0045"]
        await rooms.set_role(room, "romeo", "participant", timeout=SECONDS)
        await rooms.set_affiliation(room, "member", jid=JID(romeo.account.jid), timeout=SECONDS)
        members = await rooms.get_affiliation_list(room, "member", timeout=SECONDS)
        self.assertEqual([romeo.account.jid], [str(jid) for jid in members])
        with self.assertRaises(IqError):
            await romeo["xep_0045"].set_role(room, "owner", "none", timeout=SECONDS)
        await rooms.set_affiliation(room, "outcast", jid=JID(romeo.account.jid), timeout=SECONDS)
        await romeo.expect_presence(f"{room}/romeo", "unavailable")
        with self.assertRaises(PresenceError):
            await romeo["xep_0045"].join_muc_wait(room, "romeo", timeout=SECONDS)

    async def test_invitation(self):
        romeo, juliet = await self.pair()
        room = await self.room(juliet, membersonly=True)
        juliet["xep_0045"].invite(room, romeo.account.jid, "come")
        await romeo.expect(lambda s: is_message(s) and s["from"] == room, "invitation")
        await romeo["xep_0045"].join_muc_wait(room, "romeo", timeout=SECONDS)

    async def test_private_message(self):
        romeo, juliet = await self.pair()
        room = await self.room(juliet)
        await romeo["xep_0045"].join_muc_wait(room, "romeo", timeout=SECONDS)
        romeo.send_message(mto=f"{room}/owner", mbody="psst", mtype="chat")
        came = await juliet.expect_body("psst")
        self.assertEqual(f"{room}/romeo", str(came["from"]))

    async def test_archive(self):
        romeo, juliet = await self.pair()
        room = await self.room(juliet)
        juliet.send_message(mto=room, mbody="keep this", mtype="groupchat")
        await juliet.expect_body("keep this")
        found = []
        async for message in romeo["xep_0313"].iterate(jid=room, total=10):
            found.append(message["mam_result"]["forwarded"]["stanza"]["body"])
        self.assertEqual(["keep this"], found)

    async def test_moderation(self):
        romeo, juliet = await self.pair()
        room = await self.room(juliet)
        await romeo["xep_0045"].join_muc_wait(room, "romeo", timeout=SECONDS)
        romeo.send_message(mto=room, mbody="free potions", mtype="groupchat")
        came = await juliet.expect_body("free potions")
        await juliet["xep_0425"].moderate(room, came["stanza_id"]["id"], "spam", timeout=SECONDS)
        await romeo.expect(lambda s: is_message(s) and s.xml.find(
            "{urn:xmpp:message-retract:1}retract") is not None, "retraction")

    async def test_self_ping(self):
        romeo, juliet = await self.pair()
        room = await self.room(juliet)
        await juliet["xep_0199"].ping(f"{room}/owner", timeout=SECONDS)
        with self.assertRaises(IqError) as refused:
            await romeo["xep_0199"].ping(f"{room}/romeo", timeout=SECONDS)
        self.assertEqual("not-acceptable", refused.exception.iq["error"]["condition"])

    async def test_several_devices_share_a_nickname(self):
        romeo, juliet = await self.pair()
        room = await self.room(juliet)
        tablet = await self.second(romeo, "tablet")
        for client in (romeo, tablet):
            await client["xep_0045"].join_muc_wait(room, "romeo", timeout=SECONDS)
        juliet.send_message(mto=room, mbody="to both", mtype="groupchat")
        for client in (romeo, tablet):
            await client.expect_body("to both")

    async def test_destroy(self):
        romeo, juliet = await self.pair()
        room = await self.room(juliet, persistentroom=True)
        await romeo["xep_0045"].join_muc_wait(room, "romeo", timeout=SECONDS)
        await juliet["xep_0045"].destroy(room, "the end", timeout=SECONDS)
        await romeo.expect_presence(f"{room}/romeo", "unavailable")
