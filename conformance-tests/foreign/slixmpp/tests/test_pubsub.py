"""Publish-subscribe: nodes of accounts and of the service."""

from xml.etree import ElementTree

from slixmpp.exceptions import IqError

import device
from device import Case, SECONDS, is_message, new_account

EVENT = "{http://jabber.org/protocol/pubsub#event}"
AVATAR = "urn:xmpp:avatar:metadata"
BOOKMARKS = "urn:xmpp:bookmarks:1"
READ = "urn:xmpp:mds:displayed:0"
PLUGINS = ("xep_0004", "xep_0060", "xep_0115", "xep_0163", "xep_0084", "xep_0153", "xep_0223", "xep_0402", "xep_0490")


def event(node: str, kind: str = "item"):
    """Matches an event of that node with an item, or with a retraction."""
    def match(stanza):
        items = stanza.xml.find(f"{EVENT}event/{EVENT}items")
        return (is_message(stanza) and items is not None and items.get("node") == node
                and items.find(f"{EVENT}{kind}") is not None)
    return match


class PubSubCase(Case):
    def device(self, *arguments, **options):
        made = super().device(*arguments, **options)
        for plugin in PLUGINS:
            made.register_plugin(plugin)
        return made


class PersonalEventing(PubSubCase):
    async def test_avatar_reaches_contacts_and_the_vcard(self):
        romeo, juliet = await self.pair()
        await self.befriend(romeo, juliet)
        picture = b"\x89PNG not really"
        id_ = juliet["xep_0084"].generate_id(picture)
        await juliet["xep_0084"].publish_avatar(picture, timeout=SECONDS)
        await juliet["xep_0084"].publish_avatar_metadata(
            {"id": id_, "type": "image/png", "bytes": len(picture)}, timeout=SECONDS)
        came = await romeo.expect(event(AVATAR), "avatar")
        self.assertEqual(juliet.account.jid, str(came["from"]))
        got = await romeo["xep_0084"].retrieve_avatar(juliet.account.jid, id_, timeout=SECONDS)
        self.assertEqual(picture, got["pubsub"]["items"]["item"]["avatar_data"]["value"])
        vcard = await romeo["xep_0054"].get_vcard(juliet.account.jid, timeout=SECONDS)
        self.assertEqual(picture, vcard["vcard_temp"]["PHOTO"]["BINVAL"])

    async def test_a_device_that_comes_later_gets_the_avatar(self):
        phone = await self.device(new_account("romeo"), "phone").online()
        picture = b"another picture"
        id_ = phone["xep_0084"].generate_id(picture)
        await phone["xep_0084"].publish_avatar(picture, timeout=SECONDS)
        await phone["xep_0084"].publish_avatar_metadata(
            {"id": id_, "type": "image/png", "bytes": len(picture)}, timeout=SECONDS)
        desk = await self.second(phone, "desk")
        await desk.expect(event(AVATAR), "last avatar")

    async def test_bookmarks_and_their_old_form(self):
        phone = await self.device(new_account("romeo"), "phone").online()
        room = "orchard@conference.example.org"
        conference = ElementTree.fromstring(
            f"<conference xmlns='{BOOKMARKS}' name='Orchard' autojoin='true'><nick>R</nick></conference>")
        await phone["xep_0060"].publish(
            phone.account.jid, BOOKMARKS, id=room, payload=conference, timeout=SECONDS)
        items = await phone["xep_0060"].get_items(phone.account.jid, BOOKMARKS, timeout=SECONDS)
        found = items["pubsub"]["items"]["substanzas"][0]
        self.assertEqual((room, "Orchard"), (found["id"], found["conference"]["name"]))
        query = phone.Iq(stype="get")
        query.append(ElementTree.fromstring(
            "<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query>"))
        answer = await query.send(timeout=SECONDS)
        conference = answer.xml.find(".//{storage:bookmarks}conference")
        self.assertEqual(room, conference.get("jid"))

    async def test_bookmarks_of_an_old_client_reach_a_new_one(self):
        phone = await self.device(new_account("romeo"), "phone").online()
        desk = self.device(phone.account, "desk", "tls")
        desk["xep_0163"].add_interest(BOOKMARKS)
        await desk.online()
        room = "orchard@conference.example.org"
        query = phone.Iq(stype="set")
        query.append(ElementTree.fromstring(
            "<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'>"
            f"<conference jid='{room}' name='Orchard' autojoin='1'><nick>R</nick></conference>"
            "</storage></query>"))
        await query.send(timeout=SECONDS)
        came = await desk.expect(event(BOOKMARKS), "bookmark")
        item = came.xml.find(f"{EVENT}event/{EVENT}items/{EVENT}item")
        conference = item.find(f"{{{BOOKMARKS}}}conference")
        self.assertEqual(room, item.get("id"))
        self.assertIn(conference.get("autojoin"), ("true", "1"))
        self.assertEqual("R", conference.findtext(f"{{{BOOKMARKS}}}nick"))

    async def test_read_marks_are_private_and_reach_other_devices(self):
        phone = await self.device(new_account("romeo"), "phone").online()
        desk = await self.second(phone, "desk")
        await phone["xep_0490"].flag_chat("juliet@example.org", "id-1", timeout=SECONDS)
        items = await desk["xep_0490"].catch_up(timeout=SECONDS)
        self.assertEqual("juliet@example.org", items["pubsub"]["items"]["substanzas"][0]["id"])
        stranger = await self.device(new_account("tybalt"), "phone").online()
        with self.assertRaises(IqError) as refused:
            await stranger["xep_0060"].get_items(phone.account.jid, READ, timeout=SECONDS)
        self.assertEqual("not-allowed", refused.exception.condition)


OMEMO = "eu.siacs.conversations.axolotl"
OMEMO_2 = "urn:xmpp:omemo:2"


class Encryption(PubSubCase):
    """What OMEMO publishes: a list of devices that each device completes, and a bundle of keys a device."""

    async def publish(self, client, node: str, id_: str, payload: str, **options):
        form = client["xep_0004"].make_form("submit")
        form.add_field("FORM_TYPE", "hidden", value="http://jabber.org/protocol/pubsub#publish-options")
        for name, value in {"access_model": "open", "persist_items": "true", **options}.items():
            form.add_field(f"pubsub#{name}", value=value)
        await client["xep_0060"].publish(
            client.account.jid, node, id=id_, payload=ElementTree.fromstring(payload),
            options=form, timeout=SECONDS)

    async def payloads(self, client, owner, node: str) -> list:
        items = await client["xep_0060"].get_items(owner.account.jid, node, timeout=SECONDS)
        return [item["payload"] for item in items["pubsub"]["items"]]

    async def lists(self, client, ids: list):
        """Publishes the list of devices, in the old form and in the new one."""
        devices = "".join(f"<device id='{id_}'/>" for id_ in ids)
        await self.publish(client, f"{OMEMO}.devicelist", "current", f"<list xmlns='{OMEMO}'>{devices}</list>")
        await self.publish(
            client, f"{OMEMO_2}:devices", "current", f"<devices xmlns='{OMEMO_2}'>{devices}</devices>")

    async def bundles(self, client, id_: str):
        bundle = f"<identityKey>{id_}</identityKey>"
        await self.publish(client, f"{OMEMO}.bundles:{id_}", "current", f"<bundle xmlns='{OMEMO}'>{bundle}</bundle>")
        await self.publish(client, f"{OMEMO_2}:bundles", id_, f"<bundle xmlns='{OMEMO_2}'>{bundle}</bundle>",
                           max_items="max")

    async def test_two_devices_publish_and_everybody_reads(self):
        romeo = self.device(new_account("romeo"), "phone")
        for node in (f"{OMEMO}.devicelist", f"{OMEMO_2}:devices"):
            romeo["xep_0163"].add_interest(node)
        phone = await self.device(new_account("juliet"), "phone").online()
        await romeo.online()
        await self.befriend(romeo, phone)
        await self.bundles(phone, "11")
        await self.lists(phone, ["11"])
        for node in (f"{OMEMO}.devicelist", f"{OMEMO_2}:devices"):
            await romeo.expect(event(node), "list of one device")
        desk = await self.second(phone, "desk")
        known = [one.get("id") for one in (await self.payloads(desk, desk, f"{OMEMO}.devicelist"))[0]]
        await self.bundles(desk, "22")
        await self.lists(desk, [*known, "22"])
        for node in (f"{OMEMO}.devicelist", f"{OMEMO_2}:devices"):
            came = await romeo.expect(event(node), "list of two devices")
            ids = [one.get("id") for one in came.xml.iter() if one.tag.endswith("}device")]
            self.assertEqual(["11", "22"], ids)
        # No contact: somebody in the same room, who is to encrypt for her too.
        stranger = await self.device(new_account("nurse"), "phone").online()
        keys = await self.payloads(stranger, phone, f"{OMEMO_2}:bundles")
        self.assertEqual({"11", "22"}, {key.findtext(f"{{{OMEMO_2}}}identityKey") for key in keys})
        for id_ in ("11", "22"):
            key, = await self.payloads(stranger, phone, f"{OMEMO}.bundles:{id_}")
            self.assertEqual(id_, key.findtext(f"{{{OMEMO}}}identityKey"))


class Service(PubSubCase):
    async def test_create_subscribe_publish_retract_delete(self):
        romeo, juliet = await self.pair()
        service, node = f"pubsub.{device.TARGET['domain']}", f"news of {juliet.account.user}"
        await juliet["xep_0060"].create_node(service, node, timeout=SECONDS)
        await romeo["xep_0060"].subscribe(service, node, timeout=SECONDS)
        entry = ElementTree.fromstring("<entry xmlns='http://www.w3.org/2005/Atom'><title>One</title></entry>")
        await juliet["xep_0060"].publish(service, node, id="1", payload=entry, timeout=SECONDS)
        await romeo.expect(event(node), "item")
        items = await romeo["xep_0060"].get_items(service, node, timeout=SECONDS)
        self.assertEqual("1", items["pubsub"]["items"]["substanzas"][0]["id"])
        await juliet["xep_0060"].retract(service, node, "1", notify="1", timeout=SECONDS)
        await romeo.expect(event(node, "retract"), "retraction")
        with self.assertRaises(IqError) as refused:
            await romeo["xep_0060"].delete_node(service, node, timeout=SECONDS)
        self.assertEqual("forbidden", refused.exception.condition)
        await juliet["xep_0060"].delete_node(service, node, timeout=SECONDS)
        await romeo.expect(lambda s: is_message(s) and s.xml.find(f"{EVENT}event/{EVENT}delete") is not None,
                           "deletion")

    async def test_configuration_and_affiliations(self):
        romeo, juliet = await self.pair()
        service, node = f"pubsub.{device.TARGET['domain']}", f"closed {juliet.account.user}"
        await juliet["xep_0060"].create_node(service, node, timeout=SECONDS)
        form = (await juliet["xep_0060"].get_node_config(service, node, timeout=SECONDS))
        form = form["pubsub_owner"]["configure"]["form"]
        self.assertEqual("open", form.get_values()["pubsub#access_model"])
        form.set_values({"pubsub#access_model": "whitelist"})
        form["type"] = "submit"
        await juliet["xep_0060"].set_node_config(service, node, form, timeout=SECONDS)
        with self.assertRaises(IqError):
            await romeo["xep_0060"].get_items(service, node, timeout=SECONDS)
        await juliet["xep_0060"].modify_affiliations(
            service, node, [(romeo.account.jid, "member")], timeout=SECONDS)
        await romeo["xep_0060"].get_items(service, node, timeout=SECONDS)
