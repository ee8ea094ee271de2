"""Dino with an account, on a desktop."""

import contextlib
import sqlite3

from desktop import Desktop
from device import Account


class Program:
    """Use `await Program(desktop).start(account)`. What it has done, its database tells."""

    def __init__(self, desktop: Desktop):
        self.desktop = desktop
        self._database = desktop.home / "data" / "dino" / "dino.db"

    async def start(self, account: Account) -> "Program":
        """Starts Dino with what its account assistant would have written."""
        first = self.desktop.launch(["dino-im"])
        await self.until("SELECT 1 FROM sqlite_master WHERE name = 'file_transfer'")
        self.desktop.end(first)
        with sqlite3.connect(self._database) as database:
            database.execute(
                "INSERT INTO account (bare_jid, resourcepart, password, alias, enabled) VALUES (?, ?, ?, ?, 1)",
                (account.jid, "dino", account.password, "Romeo"))
        self.desktop.own(self._database.parent)
        # It tells how its calls do.
        self.desktop.launch(["env", "G_MESSAGES_DEBUG=ice", "dino-im"])
        return self

    def rows(self, query: str) -> list:
        if not self._database.exists():
            return []
        with contextlib.closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as database:
            return database.execute(query).fetchall()

    async def until(self, query: str) -> list:
        """Waits until the database has it; returns what was found first."""
        await self.desktop.until(lambda: self.rows(query), query)
        return self.rows(query)[0]

    async def act(self, action: str, parameter: str):
        """What a click on a notification does."""
        await self.desktop.call([
            "gdbus", "call", "--session", "--dest", "im.dino.Dino", "--object-path", "/im/dino/Dino",
            "--method", "org.gtk.Actions.Activate", action, f"[<{parameter}>]", "{}"])
