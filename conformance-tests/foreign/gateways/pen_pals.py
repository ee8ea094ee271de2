"""A network whose people live in this process, for slidge to bridge to: they write every message back in reverse,
and their user has another device there."""

from slidge import BaseGateway, BaseSession, LegacyContact, LegacyRoster

FRIEND = "mercutio"
# What follows is said from the user's device over there.
ELSEWHERE = "say from elsewhere: "


class Gateway(BaseGateway):
    COMPONENT_NAME = "Pen pals"
    COMPONENT_TYPE = "pen-pals"
    REGISTRATION_FIELDS = ()
    ROSTER_GROUP = "Pen pals"

    async def validate(self, user_jid, registration_form):
        return {}


class Contact(LegacyContact):
    async def update_info(self):
        self.name = self.legacy_id.title()
        self.is_friend = True
        self.online()

    async def on_message(self, message):
        if message.body.startswith(ELSEWHERE):
            self.send_text(message.body.removeprefix(ELSEWHERE), carbon=True)
        else:
            self.send_text(message.body[::-1])


class Roster(LegacyRoster):
    async def fill(self):
        friend = await self.by_legacy_id(FRIEND)
        await friend.add_to_roster()
        yield friend


class Session(BaseSession):
    async def login(self):
        return "there"

    async def logout(self):
        pass
