"""Roster and presence subscriptions (RFC 6121 sections 2 to 4)."""

from device import Case, SECONDS, new_account


def push(jid: str, **wanted):
    """Matches a roster push for `jid` whose item has these attributes."""
    def match(stanza):
        if stanza.name != "iq" or stanza["type"] != "set":
            return False
        item = stanza["roster"]["items"].get(jid) or stanza["roster"]["items"].get(_as_jid(jid))
        return bool(item) and all(item[key] == value for key, value in wanted.items())
    return match


def _as_jid(text: str):
    from slixmpp import JID
    return JID(text)


class Roster(Case):
    async def _roster(self, device) -> dict:
        # Not `get_roster`, which names the version it has and then gets no items.
        request = device.make_iq_get()
        request.enable("roster")
        answer = await request.send(timeout=SECONDS)
        return {str(jid): item for jid, item in answer["roster"]["items"].items()}

    async def test_new_account_has_an_empty_roster(self):
        romeo = await self.device(new_account("romeo"), "phone").online()
        self.assertEqual({}, await self._roster(romeo))

    async def test_add_change_remove(self):
        romeo = await self.device(new_account("romeo"), "phone").online()
        jid = "nurse@example.org"
        await romeo.update_roster(jid, name="Nurse", groups=["House", "Staff"])
        item = (await self._roster(romeo))[jid]
        self.assertEqual(("Nurse", "none", {"House", "Staff"}),
                         (item["name"], item["subscription"], set(item["groups"])))
        await romeo.update_roster(jid, name="Angelica", groups=[])
        item = (await self._roster(romeo))[jid]
        self.assertEqual(("Angelica", []), (item["name"], list(item["groups"])))
        await romeo.del_roster_item(jid)
        self.assertEqual({}, await self._roster(romeo))

    async def test_pushes_reach_the_other_device(self):
        phone = await self.device(new_account("romeo"), "phone").online()
        desk = await self.second(phone, "desk")
        jid = "nurse@example.org"
        await phone.update_roster(jid, name="Nurse", groups=["Staff"])
        await desk.expect(push(jid, name="Nurse", subscription="none"), "push of the new item")
        await phone.del_roster_item(jid)
        await desk.expect(push(jid, subscription="remove"), "push of the removal")

    async def test_roster_version(self):
        phone = self.device(new_account("romeo"), "phone")
        await phone.online()
        self.assertIn("rosterver", phone.features)
        await phone.update_roster("nurse@example.org", name="Nurse")
        pushed = await phone.expect(push("nurse@example.org"), "push")
        version = pushed["roster"]["ver"]
        self.assertTrue(version)
        request = phone.make_iq_get()
        request["roster"]["ver"] = version
        answer = await request.send(timeout=SECONDS)
        self.assertEqual([], list(answer["roster"]["items"]), "nothing has changed since")

    async def test_subscribe_both_ways(self):
        romeo, juliet = await self.pair()
        await self.befriend(romeo, juliet)
        for device, other in ((romeo, juliet), (juliet, romeo)):
            item = (await self._roster(device))[other.account.jid]
            self.assertEqual("both", item["subscription"])

    async def test_pending_subscription_is_pushed_with_ask(self):
        romeo, juliet = await self.pair()
        romeo.send_presence(pto=juliet.account.jid, ptype="subscribe")
        await romeo.expect(push(juliet.account.jid, subscription="none", ask="subscribe"),
                           "push of the pending item")
        await juliet.expect_presence(romeo.account.jid, "subscribe")
        self.assertNotIn(romeo.account.jid, await self._roster(juliet))

    async def test_refused_subscription(self):
        romeo, juliet = await self.pair()
        romeo.send_presence(pto=juliet.account.jid, ptype="subscribe")
        await juliet.expect_presence(romeo.account.jid, "subscribe")
        juliet.send_presence(pto=romeo.account.jid, ptype="unsubscribed")
        await romeo.expect_presence(juliet.account.jid, "unsubscribed")
        item = (await self._roster(romeo))[juliet.account.jid]
        self.assertEqual(("none", ""), (item["subscription"], item["ask"] or ""))

    async def test_request_waits_for_an_absent_user(self):
        romeo = await self.device(new_account("romeo"), "phone").online()
        juliet = self.device(new_account("juliet"), "desk", "tls")
        romeo.send_presence(pto=juliet.account.jid, ptype="subscribe")
        await romeo.expect(push(juliet.account.jid, ask="subscribe"), "push of the pending item")
        await juliet.online()
        await juliet.expect_presence(romeo.account.jid, "subscribe")

    async def test_unsubscribe(self):
        romeo, juliet = await self.pair()
        await self.befriend(romeo, juliet)
        romeo.send_presence(pto=juliet.account.jid, ptype="unsubscribe")
        await juliet.expect_presence(romeo.account.jid, "unsubscribe")
        await romeo.expect(push(juliet.account.jid, subscription="from"), "push of `from`")
        await juliet.expect(push(romeo.account.jid, subscription="to"), "push of `to`")

    async def test_cancelled_subscription_hides_presence(self):
        romeo, juliet = await self.pair()
        await self.befriend(romeo, juliet)
        juliet.send_presence(pto=romeo.account.jid, ptype="unsubscribed")
        await romeo.expect_presence(juliet.account.jid, "unsubscribed")
        await romeo.expect_presence(juliet.account.jid, "unavailable")
        item = (await self._roster(romeo))[juliet.account.jid]
        self.assertEqual("from", item["subscription"])

    async def test_removing_the_item_ends_both_subscriptions(self):
        romeo, juliet = await self.pair()
        await self.befriend(romeo, juliet)
        await romeo.del_roster_item(juliet.account.jid)
        await juliet.expect_presence(romeo.account.jid, "unsubscribe")
        await juliet.expect_presence(romeo.account.jid, "unsubscribed")
        item = (await self._roster(juliet))[romeo.account.jid]
        self.assertEqual("none", item["subscription"])
