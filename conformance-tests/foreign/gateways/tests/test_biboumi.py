"""biboumi: IRC channels as rooms."""

from slixmpp import JID

from device import Case, SECONDS, is_message, new_account
from irc import Network, Person

CHANNEL = "#hall"


class Biboumi(Case):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.network = Network()
        self.addCleanup(self.network.stop)
        self.network.start()
        self.mercutio = await Person().join(self.network, "mercutio", CHANNEL)
        self.addAsyncCleanup(self.mercutio.close)
        self.romeo = await self.device(new_account("romeo"), "phone").online()
        self.room = JID(self.network.room(CHANNEL))

    async def enter(self) -> list:
        """Romeo joins the channel; returns the nicknames that he finds there."""
        _, _, occupants, _ = await self.romeo["xep_0045"].join_muc_wait(
            self.room, "romeo", timeout=SECONDS)
        await self.mercutio.expect(":romeo!", "JOIN", CHANNEL)
        return [occupant["from"].resource for occupant in occupants]

    async def test_is_a_gateway(self):
        info = await self.romeo["xep_0030"].get_info(
            jid=self.network.gateway_domain, timeout=SECONDS)
        kinds = {(category, kind) for category, kind, *_ in info["disco_info"]["identities"]}
        self.assertIn(("conference", "irc"), kinds)

    async def test_both_ways_in_a_channel(self):
        self.assertIn("mercutio", await self.enter())
        self.romeo.send_message(mto=self.room, mbody="from XMPP é 🚀", mtype="groupchat")
        await self.mercutio.expect(":romeo!", f"PRIVMSG {CHANNEL} :from XMPP é 🚀")
        self.mercutio.say("from IRC é 🚀")
        came = await self.romeo.expect_body("from IRC é 🚀")
        self.assertEqual(f"{self.room}/mercutio", str(came["from"]))
        self.assertEqual("groupchat", came["type"])

    async def test_nicknames_change_and_people_leave(self):
        await self.enter()
        self.mercutio.rename("benvolio")
        await self.romeo.expect_presence(f"{self.room}/mercutio", "unavailable")
        await self.romeo.expect_presence(f"{self.room}/benvolio")
        self.romeo["xep_0045"].leave_muc(self.room, "romeo")
        await self.mercutio.expect(":romeo!", "PART", CHANNEL)

    async def test_private_messages(self):
        await self.enter()
        self.romeo.send_message(mto=f"{self.room}/mercutio", mbody="psst", mtype="chat")
        await self.mercutio.expect(":romeo!", "PRIVMSG mercutio :psst")
        self.mercutio.say("what?", to="romeo")
        await self.romeo.expect_body("what?")

    async def test_a_gateway_that_goes_and_comes_back(self):
        await self.enter()
        self.network.stop_gateway()
        await self.romeo.expect_presence(f"{self.room}/romeo", "unavailable")
        self.romeo.send_message(mto=self.room, mbody="anybody?", mtype="groupchat")
        refused = await self.romeo.expect(
            lambda s: is_message(s) and s["type"] == "error", "error")
        self.assertEqual("service-unavailable", refused["error"]["condition"])
        self.assertEqual("wait", refused["error"]["type"])
        self.network.start_gateway()
        self.assertIn("mercutio", await self.enter())
