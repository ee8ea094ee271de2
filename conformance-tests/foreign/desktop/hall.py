"""A room that a program is to join at login, and what is sent there."""

import io
from xml.etree import ElementTree

import device
import media
from device import SECONDS

BOOKMARKS = "urn:xmpp:bookmarks:1"


async def hall(owner: device.Device, member: device.Device) -> str:
    """A room of members who know each other, the owner as Juliet; the member has it as a bookmark, as Romeo.

    What comes from such a room is shown at once, not only offered."""
    room = f"hall-{owner.account.user}@conference.{device.TARGET['domain']}"
    await owner["xep_0045"].join_muc_wait(room, "Juliet", timeout=SECONDS)
    form = await owner["xep_0045"].get_room_config(room)
    for name, value in (("roomname", "Hall"), ("membersonly", True), ("whois", "anyone")):
        form.field[f"muc#roomconfig_{name}"]["value"] = value
    form["type"] = "submit"
    await owner["xep_0045"].set_room_config(room, form)
    await owner["xep_0045"].set_affiliation(room, "member", jid=member.account.jid, timeout=SECONDS)
    bookmark = ElementTree.fromstring(
        f"<conference xmlns='{BOOKMARKS}' name='Hall' autojoin='true'><nick>Romeo</nick></conference>")
    member.register_plugin("xep_0060")
    await member["xep_0060"].publish(
        member.account.jid, BOOKMARKS, id=room, payload=bookmark, timeout=SECONDS)
    return room


async def upload(sender: device.Device) -> str:
    """Uploads a picture and returns its address."""
    content = media.picture()
    return await sender["xep_0363"].upload_file(
        "evening.png", size=len(content), content_type="image/png",
        input_file=io.BytesIO(content), timeout=SECONDS)


def link(sender: device.Device, to: str, url: str, kind: str):
    """Sends an uploaded file as clients do (XEP-0066)."""
    message = sender.make_message(mto=to, mbody=url, mtype=kind)
    message.append(ElementTree.fromstring(f"<x xmlns='jabber:x:oob'><url>{url}</url></x>"))
    message.send()
