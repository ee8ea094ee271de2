"""slidge: people of another network in the roster, by privileges (XEP-0356)."""

import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import device
from device import Case, SECONDS, carbon, new_account
from harness.process import Service

START_SECONDS = 60
# What pen_pals.py knows.
FRIEND = "mercutio"
ELSEWHERE = "say from elsewhere: "


class Slidge(Case):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.domain = f"slidge.{device.TARGET['domain']}"
        self.friend = f"{FRIEND}@{self.domain}"
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        service = Service(
            [Path(sys.executable).parent / "slidge", "--legacy-module", "pen_pals", "--debug",
             "--jid", self.domain, "--secret", device.TARGET["secret"],
             "--server", device.TARGET["host"], "--port", str(device.TARGET["components"]),
             "--home-dir", Path(home.name) / "slidge"],
            log=Path(device.TARGET["logs"]) / "slidge.log",
            env={"PYTHONPATH": str(Path(__file__).resolve().parent.parent)})
        self.addCleanup(service.stop, SECONDS)
        service.wait_line(lambda line: "has successfully started" in line, START_SECONDS)
        self.romeo = await self.device(new_account("romeo"), "phone").online(carbons=True)

    async def register(self):
        """Romeo joins the other network; its people come into his roster."""
        iq = self.romeo.make_iq_set(ito=self.domain)
        iq.append(ElementTree.Element("{jabber:iq:register}query"))
        await iq.send(timeout=SECONDS)
        await self.romeo.expect(
            lambda s: s.name == "iq" and s["type"] == "set" and self.friend in str(s), "roster push")

    async def test_people_come_into_the_roster(self):
        await self.register()
        await self.romeo.expect_presence(self.friend)

    async def test_both_ways(self):
        await self.register()
        self.romeo.send_message(mto=self.friend, mbody="wherefore", mtype="chat")
        came = await self.romeo.expect_body("wherefore"[::-1])
        self.assertEqual(self.friend, came["from"].bare)

    async def test_what_the_user_writes_elsewhere(self):
        await self.register()
        self.romeo.send_message(mto=self.friend, mbody=f"{ELSEWHERE}from the other phone", mtype="chat")
        await self.romeo.expect(carbon("sent", "from the other phone"), "copy")
