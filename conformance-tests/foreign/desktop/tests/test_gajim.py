"""Gajim on a desktop without a screen, in a room with a slixmpp device."""

import json
import sqlite3
from pathlib import Path

import device
import media
from desktop import Desktop
from device import Account, Case, new_account
from hall import hall, link, upload

APP = {
    "use_keyring": False, "remote_control": True, "sounds_on": False, "check_for_update": False,
    "show_trayicon": False, "last_update_check": "2999-01-01 00:00",
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

    async def test_room_with_picture_and_voice_clip(self):
        account = new_account("romeo")
        phone = await self.device(account, "phone").online()
        juliet = await self.device(new_account("juliet"), "desk", "tls").online()
        room = await hall(juliet, phone)
        juliet["xep_0045"].set_subject(room, "Evening by the sea")
        desktop = await self._start(account, device.TARGET["ca"])
        await juliet.expect_presence(f"{room}/Romeo")
        await desktop.call(["gajim", f"xmpp:{room}?join"])
        juliet.send_message(mto=room, mbody="Good evening!", mtype="groupchat")
        await desktop.sees("gajim", "label", "Evening by the sea")
        await desktop.sees("gajim", "label", "Good evening!")
        link(juliet, room, await upload(juliet), "groupchat")
        await desktop.sees("gajim", "label", "evening.png")
        await desktop.until(lambda: list(desktop.home.rglob("*.thumb/evening*")), "thumbnail")
        await media.post_clip(juliet.account, room)
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
