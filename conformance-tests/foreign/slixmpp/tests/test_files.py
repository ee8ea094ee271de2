"""Files: slots, upload and download; devices that are woken."""

import asyncio
import io
from xml.etree import ElementTree

from aiohttp import ClientSession

import device
import media
from device import Case, SECONDS, is_message, new_account
from slixmpp.plugins.xep_0363.http_upload import FileTooBig

CONTENT = b"0123456789" * 10_000
CLIP = "{urn:wello:ptt:0}clip"
SENT = "{urn:xmpp:carbons:2}sent"
FORWARDED = "{urn:xmpp:forward:0}forwarded"
NOTIFICATION = "{http://jabber.org/protocol/pubsub}pubsub"


class Files(Case):
    async def upload(self, client, name="très cool.jpg", kind="image/jpeg", **more):
        return await client["xep_0363"].upload_file(
            name, size=len(CONTENT), content_type=kind, input_file=io.BytesIO(CONTENT),
            timeout=SECONDS, **more)

    async def test_upload_and_download(self):
        romeo = await self.device(new_account("romeo"), "phone").online()
        url = await self.upload(romeo)
        async with ClientSession() as http:
            async with http.get(url) as answer:
                self.assertEqual((200, CONTENT), (answer.status, await answer.read()))
                self.assertEqual("image/jpeg", answer.headers["content-type"])
            async with http.head(url) as answer:
                self.assertEqual(str(len(CONTENT)), answer.headers["content-length"])
            async with http.get(url, headers={"range": "bytes=99990-"}) as answer:
                self.assertEqual((206, CONTENT[-10:]), (answer.status, await answer.read()))

    async def test_upload_for_a_profile(self):
        romeo = await self.device(new_account("romeo"), "phone").online()
        url = await self.upload(romeo, purpose="profile")
        self.assertTrue(url.startswith("https://"))

    async def test_too_large(self):
        romeo = await self.device(new_account("romeo"), "phone").online()
        with self.assertRaises(FileTooBig):
            await romeo["xep_0363"].upload_file(
                "a.bin", size=10**12, input_file=io.BytesIO(b""), timeout=SECONDS)


class Clips(Case):
    """Voice clips, as devices get them that know nothing of it."""

    async def assert_plays(self, message):
        url = message["body"]
        self.assertEqual(url, message.xml.findtext("{jabber:x:oob}x/{jabber:x:oob}url"))
        self.assertTrue(url.endswith(".m4a"), url)
        async with ClientSession() as http, http.get(url) as answer:
            self.assertEqual("audio/mp4", answer.headers["content-type"])
            self.assertEqual(b"ftyp", (await answer.read())[4:8])

    async def test_clip_reaches_every_device(self):
        romeo, juliet = await self.pair(carbons=True)
        tablet = await self.second(romeo, "tablet", carbons=True)
        laptop = await self.second(juliet, "laptop", carbons=True)
        await media.post_clip(romeo.account, juliet.account.jid)
        for receiving in (juliet, laptop):
            await self.assert_plays(await receiving.expect(is_clip, "clip"))
        for sending in (romeo, tablet):
            copy = await sending.expect(lambda s: s.xml.find(SENT) is not None, "carbon of the clip")
            self.assertIsNotNone(copy.xml.find(f"{SENT}/{FORWARDED}//{CLIP}"))
        page = await laptop["xep_0313"].retrieve(with_jid=romeo.account.jid, timeout=SECONDS)
        archived, = page["mam"]["results"]
        self.assertIsNotNone(archived.xml.find(f".//{CLIP}"))

    async def in_a_hall(self):
        romeo, juliet = await self.pair()
        room = f"hall-{romeo.account.user}@conference.{device.TARGET['domain']}"
        for client, nick in ((juliet, "Juliet"), (romeo, "Romeo")):
            await client["xep_0045"].join_muc_wait(room, nick, timeout=SECONDS)
            if client is juliet:
                form = await client["xep_0045"].get_room_config(room, timeout=SECONDS)
                form["type"] = "submit"
                await client["xep_0045"].set_room_config(room, form, timeout=SECONDS)
        return romeo, juliet, room

    async def send_clip(self, client, to: str, kind: str):
        """The plain way: a slot, an upload, a message."""
        recording = media.recording()
        url = await client["xep_0363"].upload_file(
            "voice.ogg", size=len(recording), content_type="audio/ogg",
            input_file=io.BytesIO(recording), timeout=SECONDS)
        message = client.make_message(mto=to, mbody=url, mtype=kind)
        message.append(ElementTree.Element(CLIP))
        message.send()

    async def test_clip_by_upload_and_message(self):
        romeo, juliet = await self.pair()
        await self.send_clip(romeo, juliet.account.jid, "chat")
        await self.assert_plays(await juliet.expect(is_clip, "clip"))

    async def test_clip_by_upload_and_message_in_a_room(self):
        romeo, juliet, room = await self.in_a_hall()
        await self.send_clip(romeo, room, "groupchat")
        for client in (juliet, romeo):
            came = await client.expect(is_clip, "clip")
            self.assertEqual(f"{room}/Romeo", str(came["from"]))
            await self.assert_plays(came)

    async def test_clip_in_a_room(self):
        romeo, juliet, room = await self.in_a_hall()
        await media.post_clip(romeo.account, room)
        for client in (juliet, romeo):
            came = await client.expect(is_clip, "clip")
            self.assertEqual(f"{room}/Romeo", str(came["from"]))
            await self.assert_plays(came)


def is_clip(stanza) -> bool:
    return is_message(stanza) and stanza.xml.find(CLIP) is not None


class Bytestreams(Case):
    async def test_file_through_the_proxy(self):
        romeo, juliet = await self.pair()
        juliet["xep_0065"].auto_accept = True
        heard = juliet.first_of("socks5_data")
        stream = await romeo["xep_0065"].handshake(juliet.full, timeout=SECONDS)
        self.assertIsNotNone(stream)
        stream.transport.write(b"hark")
        _, data = await asyncio.wait_for(heard, SECONDS)
        self.assertEqual(b"hark", bytes(data))
        answered = romeo.first_of("socks5_data")
        receiver, = juliet["xep_0065"]._sessions.values()
        receiver.transport.write(b"what light")
        _, data = await asyncio.wait_for(answered, SECONDS)
        self.assertEqual(b"what light", bytes(data))


class Waking(Case):
    async def test_app_server_is_told(self):
        romeo, juliet = await self.pair()
        server = await self.device(new_account("server"), "app").online()
        enable = romeo.make_iq_set()
        enable.append(ElementTree.Element(
            "{urn:xmpp:push:0}enable", {"jid": server.full, "node": "node"}))
        await enable.send(timeout=SECONDS)
        await romeo.close()
        juliet.send_message(mto=romeo.account.jid, mbody="wake up", mtype="chat")
        came = await server.expect(
            lambda s: s.name == "iq" and s.xml.find(NOTIFICATION) is not None, "push")
        self.assertEqual("set", came["type"])
        self.assertIn("urn:xmpp:push:summary", ElementTree.tostring(came.xml, "unicode"))
