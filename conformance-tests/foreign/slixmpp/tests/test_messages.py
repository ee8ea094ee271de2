"""Messages: pass-through, carbons, offline storage."""

import asyncio
from xml.etree import ElementTree

import device
from device import CARBONS, Case, carbon, is_message, new_account

def canonical(element) -> str:
    return ElementTree.canonicalize(ElementTree.tostring(element), rewrite_prefixes=True)


class Messages(Case):
    async def _passes(self, *payloads: str, kind="chat", body="with something"):
        """Sends a message with these elements; each must arrive as it was sent."""
        romeo, juliet = await self.pair()
        message = romeo.make_message(mto=juliet.full, mbody=body, mtype=kind)
        for payload in payloads:
            message.xml.append(ElementTree.fromstring(payload))
        message.send()
        came = await juliet.expect(
            lambda s: is_message(s) and s["id"] == message["id"], "the message")
        for payload in payloads:
            wanted = ElementTree.fromstring(payload)
            found = came.xml.find(wanted.tag)
            self.assertIsNotNone(found, f"{wanted.tag} is gone from {came}")
            self.assertEqual(canonical(wanted), canonical(found))
        return came

    async def test_correction(self):
        await self._passes('<replace xmlns="urn:xmpp:message-correct:0" id="bad1"/>')

    async def test_receipt_request(self):
        await self._passes('<request xmlns="urn:xmpp:receipts"/>')

    async def test_receipt_without_body(self):
        await self._passes('<received xmlns="urn:xmpp:receipts" id="m-1"/>', body=None)

    async def test_chat_marker(self):
        await self._passes('<displayed xmlns="urn:xmpp:chat-markers:0" id="m-1"/>',
                           '<store xmlns="urn:xmpp:hints"/>', body=None)

    async def test_chat_state(self):
        await self._passes('<composing xmlns="http://jabber.org/protocol/chatstates"/>', body=None)

    async def test_reaction_and_reply(self):
        await self._passes(
            '<reactions xmlns="urn:xmpp:reactions:0" id="m-1"><reaction>👋</reaction></reactions>',
            '<reply xmlns="urn:xmpp:reply:0" to="a@b.example/c" id="m-1"/>')

    async def test_unknown_element_with_depth(self):
        await self._passes('<a xmlns="urn:example:unknown" x="1&amp;2"><b><c y="é">t&lt;x</c>'
                           '<d xmlns="urn:example:other"/></b></a>')

    async def test_text_with_markup_and_emoji(self):
        text = "<b>&amp;\u00a0\u2028 \U0001f469\u200d\U0001f680 ]]> \"'"
        came = await self._passes(body=text)
        self.assertEqual(text, came["body"])

    async def test_long_message(self):
        text = "x" * 60_000
        self.assertEqual(text, (await self._passes(body=text))["body"])

    async def test_order_is_kept(self):
        romeo, juliet = await self.pair()
        texts = [f"line {number}" for number in range(100)]
        for text in texts:
            romeo.send_message(mto=juliet.account.jid, mbody=text, mtype="chat")
        await juliet.expect(lambda s: is_message(s) and s["body"] == "line 99", "last line")
        self.assertEqual(texts[:-1], juliet.bodies())

    async def test_from_cannot_be_forged(self):
        romeo, juliet = await self.pair()
        other = await self.second(romeo, "desk")
        gone = romeo.first_of("disconnected")
        message = romeo.make_message(mto=juliet.full, mbody="forged", mtype="chat")
        message["from"] = other.full
        message.send()
        romeo.send_message(mto=juliet.full, mbody="honest", mtype="chat")
        # RFC 6120 8.1.2.1: the stream ends with invalid-from; some servers put it right instead.
        came = asyncio.ensure_future(juliet.expect(
            lambda s: is_message(s) and s["body"] in ("forged", "honest"), "message"))
        await asyncio.wait({gone, came}, return_when=asyncio.FIRST_COMPLETED)
        if came.done():
            self.assertEqual(romeo.full, str(came.result()["from"]))
        else:
            came.cancel()
            await juliet.barrier()
            self.assertEqual([], juliet.bodies())


class Carbons(Case):
    async def _three(self):
        romeo, juliet = await self.pair(carbons=True)
        tablet = await self.second(juliet, "tablet", carbons=True)
        return romeo, juliet, tablet

    async def test_received_message_is_copied(self):
        romeo, juliet, tablet = await self._three()
        romeo.send_message(mto=juliet.full, mbody="only to the desk", mtype="chat")
        await juliet.expect_body("only to the desk")
        copy = await tablet.expect(carbon("received", "only to the desk"), "carbon")
        self.assertEqual(juliet.account.jid, str(copy["from"]))

    async def test_sent_message_is_copied(self):
        romeo, juliet, tablet = await self._three()
        juliet.send_message(mto=romeo.account.jid, mbody="from the desk", mtype="chat")
        await romeo.expect_body("from the desk")
        await tablet.expect(carbon("sent", "from the desk"), "carbon")
        await juliet.barrier()
        self.assertFalse([s for s in juliet.received if carbon("sent", "from the desk")(s)],
                         "the sender has a copy of its own message")

    async def test_private_message_is_not_copied(self):
        romeo, juliet, tablet = await self._three()
        message = romeo.make_message(mto=juliet.full, mbody="private", mtype="chat")
        message.enable("carbon_private")
        message.enable("no-copy")
        message.send()
        romeo.send_message(mto=juliet.full, mbody="not private", mtype="chat")
        await juliet.expect_body("private")
        await tablet.expect(carbon("received", "not private"), "carbon")
        self.assertFalse([s for s in tablet.received if carbon("received", "private")(s)])

    async def test_nothing_after_disable(self):
        romeo, juliet, tablet = await self._three()
        await tablet["xep_0280"].disable(timeout=device.SECONDS)
        romeo.send_message(mto=juliet.full, mbody="not for the tablet", mtype="chat")
        await juliet.expect_body("not for the tablet")
        romeo.send_message(mto=tablet.full, mbody="marker", mtype="chat")
        await tablet.expect_body("marker")
        self.assertFalse([s for s in tablet.received
                          if carbon("received", "not for the tablet")(s)])

    async def test_receipt_is_copied(self):
        romeo, juliet, tablet = await self._three()
        receipt = romeo.make_message(mto=juliet.full, mtype="chat")
        receipt.xml.append(ElementTree.fromstring('<received xmlns="urn:xmpp:receipts" id="m1"/>'))
        receipt.send()
        await tablet.expect(
            lambda s: s.xml.find(f".//{{{CARBONS}}}received//{{urn:xmpp:receipts}}received")
            is not None, "carbon of the receipt")


class Offline(Case):
    async def test_kept_in_order_with_a_delay_and_delivered_once(self):
        romeo = await self.device(new_account("romeo"), "phone").online()
        account = new_account("juliet")
        texts = [f"kept {number}" for number in range(5)]
        for text in texts:
            romeo.send_message(mto=account.jid, mbody=text, mtype="chat")
        await romeo.barrier()
        juliet = await self.device(account, "desk", "tls").online()
        last = await juliet.expect_body("kept 4")
        self.assertIsNotNone(last.xml.find("{urn:xmpp:delay}delay"), "no delay element")
        self.assertEqual(texts[:-1], juliet.bodies())
        await juliet.close()
        again = await self.device(account, "desk", "tls").online()
        await again.barrier()
        self.assertEqual([], again.bodies())
