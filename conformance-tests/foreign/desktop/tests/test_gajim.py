"""Gajim on a desktop without a screen, in a room with a slixmpp device."""

import io
import json
import sqlite3
from pathlib import Path
from xml.etree import ElementTree

import device
import media
from aiohttp import ClientSession
from desktop import Desktop
from device import Account, Case, SECONDS, new_account

BOOKMARKS = "urn:xmpp:bookmarks:1"
APP = {
    "use_keyring": False, "remote_control": True, "sounds_on": False, "check_for_update": False,
    "show_trayicon": False, "preview_anonymous_muc": True, "last_update_check": "2999-01-01 00:00",
    "autoaway": False, "autoxa": False,
    "save_main_window_position": True, "mainwin_width": 1180, "mainwin_height": 780,
}


class Gajim(Case):
    async def asyncSetUp(self):
        if reason := Desktop.missing():
            self.skipTest(reason)
        await super().asyncSetUp()
        self._desktop = None

    async def asyncTearDown(self):
        if self._desktop:
            self._desktop.picture(Path(device.TARGET["logs"], f"{self.id()}.png"))
            self._desktop.close()
        await super().asyncTearDown()

    async def _start(self, account: Account, ca: str) -> Desktop:
        self._desktop = Desktop(ca)
        folder = self._desktop.home / "config" / "gajim"
        folder.mkdir()
        _configure(folder / "settings.sqlite", account)
        desktop = await self._desktop.start()
        desktop.launch(["gajim"])
        return desktop

    async def _hall(self, owner, *members) -> str:
        """A room that its members have among their bookmarks, to be joined at login."""
        room = f"hall-{owner.account.user}@conference.{device.TARGET['domain']}"
        await owner["xep_0045"].join_muc_wait(room, "Juliet", timeout=SECONDS)
        form = await owner["xep_0045"].get_room_config(room)
        form["type"] = "submit"
        await owner["xep_0045"].set_room_config(room, form)
        for member in members:
            bookmark = ElementTree.fromstring(
                f"<conference xmlns='{BOOKMARKS}' name='Hall' autojoin='true'><nick>Romeo</nick></conference>")
            await member["xep_0060"].publish(
                member.account.jid, BOOKMARKS, id=room, payload=bookmark, timeout=SECONDS)
        return room

    async def _picture(self, sender) -> str:
        content = media.picture()
        return await sender["xep_0363"].upload_file(
            "evening.png", size=len(content), content_type="image/png",
            input_file=io.BytesIO(content), timeout=SECONDS)

    def _link(self, sender, to: str, url: str, kind: str):
        message = sender.make_message(mto=to, mbody=url, mtype=kind)
        message.append(ElementTree.fromstring(f"<x xmlns='jabber:x:oob'><url>{url}</url></x>"))
        message.send()

    async def _clip(self, account: Account, to: str):
        base = f"https://{device.TARGET['domain']}:{device.TARGET['https']}/api/v1"
        async with ClientSession() as http:
            login = {"email": account.jid, "password": account.password}
            async with http.post(f"{base}/auth/login", json=login) as answer:
                token = (await answer.json())["data"]["token"]
            async with http.post(f"{base}/ptt/clips", params={"to": to}, data=media.recording(),
                                 headers={"authorization": f"Bearer {token}"}) as answer:
                self.assertEqual(201, answer.status, await answer.text())

    async def test_room_with_picture_and_voice_clip(self):
        account = new_account("romeo")
        phone = await self.device(account, "phone").online()
        juliet = await self.device(new_account("juliet"), "desk", "tls").online()
        room = await self._hall(juliet, phone)
        juliet["xep_0045"].set_subject(room, "Evening by the sea")
        desktop = await self._start(account, device.TARGET["ca"])
        await juliet.expect_presence(f"{room}/Romeo")
        await desktop.call(["gajim", f"xmpp:{room}?join"])
        juliet.send_message(mto=room, mbody="Good evening!", mtype="groupchat")
        await desktop.sees("gajim", "label", "Evening by the sea")
        await desktop.sees("gajim", "label", "Good evening!")
        self._link(juliet, room, await self._picture(juliet), "groupchat")
        await desktop.sees("gajim", "label", "evening.png")
        await desktop.until(lambda: list(desktop.home.rglob("*.thumb/evening*")), "thumbnail")
        await self._clip(juliet.account, room)
        await desktop.sees("gajim", "label", "0:00/0:02")
        await desktop.sees("gajim", "slider")

    async def test_wrong_ca_fails(self):
        desktop = await self._start(new_account("romeo"), device.TARGET["wrong_ca"])
        await desktop.sees("gajim", "label", "The signing certificate authority is not known")


def _configure(path: Path, account: Account):
    """What the account assistant would have written."""
    target = device.TARGET
    settings = {
        "name": account.user, "hostname": target["domain"], "password": account.password,
        "savepass": True, "active": True, "autoconnect": True, "use_custom_host": True,
        "custom_host": target["host"], "custom_port": target["starttls"], "custom_type": "START TLS",
        "resource": "gajim", "account_label": "Romeo",
    }
    with sqlite3.connect(path) as database:
        database.executescript("""
            CREATE TABLE settings (name TEXT UNIQUE, settings TEXT);
            CREATE TABLE account_settings (account TEXT UNIQUE, settings TEXT);
            PRAGMA user_version = 5;""")
        rows = {"app": APP, "soundevents": {}, "status_presets": {}, "proxies": {}, "plugins": {},
                "workspaces": {"0": {}}}
        for name, values in rows.items():
            database.execute("INSERT INTO settings VALUES (?, ?)", (name, json.dumps(values)))
        database.execute("INSERT INTO account_settings VALUES (?, ?)",
                         ("Romeo", json.dumps({"account": settings, "contact": {}, "group_chat": {}})))
