"""The message archive (XEP-0313)."""

from device import Case, SECONDS, is_message

RESULT = "{urn:xmpp:mam:2}result"
MESSAGE = "{urn:xmpp:forward:0}forwarded/{jabber:client}message"


def body_of(result) -> str:
    return result.xml.find(RESULT).find(MESSAGE).findtext("{jabber:client}body")


class Archive(Case):
    async def _talk(self, count: int):
        romeo, juliet = await self.pair()
        for number in range(count):
            romeo.send_message(mto=juliet.account.jid, mbody=f"line {number}", mtype="chat")
        await juliet.expect(lambda s: is_message(s) and s["body"] == f"line {count - 1}", "last line")
        return romeo, juliet

    async def _bodies(self, device, **query) -> list:
        return [body_of(result) async for result in device["xep_0313"].iterate(**query)]

    async def test_pages_forward(self):
        romeo, juliet = await self._talk(25)
        wanted = [f"line {number}" for number in range(25)]
        for device in (romeo, juliet):
            self.assertEqual(wanted, await self._bodies(device, rsm={"max": 10}))

    async def test_pages_backward(self):
        _, juliet = await self._talk(25)
        found = await self._bodies(juliet, rsm={"max": 10}, reverse=True)
        self.assertEqual([f"line {number}" for number in reversed(range(25))], found)

    async def test_page_says_where_it_is(self):
        _, juliet = await self._talk(25)
        page = await juliet["xep_0313"].retrieve(rsm={"max": 10}, timeout=SECONDS)
        self.assertEqual(10, len(page["mam"]["results"]))
        fin = page.xml.find("{urn:xmpp:mam:2}fin")
        self.assertIn(fin.get("complete"), (None, "false", "0"))
        ids = [result.xml.find(RESULT).get("id") for result in page["mam"]["results"]]
        rsm = "{http://jabber.org/protocol/rsm}"
        self.assertEqual((ids[0], ids[-1]),
                         (fin.findtext(f"{rsm}set/{rsm}first"), fin.findtext(f"{rsm}set/{rsm}last")))

    async def test_last_page_is_complete(self):
        _, juliet = await self._talk(5)
        page = await juliet["xep_0313"].retrieve(rsm={"max": 10}, timeout=SECONDS)
        self.assertIn(page.xml.find("{urn:xmpp:mam:2}fin").get("complete"), ("true", "1"))

    async def test_filter_by_contact(self):
        romeo, juliet = await self._talk(3)
        tablet = await self.second(juliet, "tablet")
        juliet.send_message(mto=tablet.full, mbody="note to self", mtype="chat")
        await tablet.expect_body("note to self")
        found = await self._bodies(juliet, with_jid=romeo.account.jid, rsm={"max": 50})
        self.assertEqual(["line 0", "line 1", "line 2"], found)

    async def test_nothing_in_the_future(self):
        from datetime import datetime, timedelta, timezone
        _, juliet = await self._talk(2)
        tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
        page = await juliet["xep_0313"].retrieve(start=tomorrow, timeout=SECONDS)
        self.assertEqual(0, len(page["mam"]["results"]))

    async def test_live_stanza_id_is_the_archive_id(self):
        romeo, juliet = await self.pair()
        romeo.send_message(mto=juliet.account.jid, mbody="with an id", mtype="chat")
        live = await juliet.expect_body("with an id")
        ids = {e.get("by"): e.get("id") for e in live.xml.findall("{urn:xmpp:sid:0}stanza-id")}
        page = await juliet["xep_0313"].retrieve(timeout=SECONDS)
        archived = page["mam"]["results"][-1].xml.find(RESULT).get("id")
        self.assertEqual(archived, ids.get(juliet.account.jid))

    async def test_another_device_reads_the_same(self):
        _, juliet = await self._talk(4)
        tablet = await self.second(juliet, "tablet")
        self.assertEqual(await self._bodies(juliet), await self._bodies(tablet))

    async def test_the_archive_of_another_account_is_closed(self):
        romeo, juliet = await self._talk(1)
        from slixmpp.exceptions import IqError
        with self.assertRaises(IqError):
            await juliet["xep_0313"].retrieve(jid=romeo.account.jid, timeout=SECONDS)

    async def test_chat_state_alone_is_not_archived(self):
        romeo, juliet = await self._talk(1)
        state = romeo.make_message(mto=juliet.full, mtype="chat")
        state["chat_state"] = "composing"
        state.send()
        await juliet.expect(lambda s: is_message(s) and s["chat_state"] == "composing", "state")
        page = await juliet["xep_0313"].retrieve(timeout=SECONDS)
        self.assertEqual(["line 0"], [body_of(r) for r in page["mam"]["results"]])

    async def test_no_store_hint(self):
        romeo, juliet = await self.pair()
        message = romeo.make_message(mto=juliet.full, mbody="off the record", mtype="chat")
        message.enable("no-store")
        message.send()
        await juliet.expect_body("off the record")
        self.assertEqual([], await self._bodies(juliet))
