"""A conference of Wello's with somebody of another server in it: the signalling alone, no media."""

from xml.etree import ElementTree

from .client import NS, Client

JINGLE = "urn:xmpp:jingle:1"
MUC_ADMIN = "http://jabber.org/protocol/muc#admin"
RTP = "urn:xmpp:jingle:apps:rtp:1"
ICE = "urn:xmpp:jingle:transports:ice-udp:1"
DTLS = "urn:xmpp:jingle:apps:dtls:0"


class Caller:
    """Calls the focus of a room (docs/protocols/calls.md) with a microphone."""

    def __init__(self, client: Client, focus: str, ssrc: int):
        self._client, self._focus, self._ssrc = client, focus, ssrc

    async def joins(self):
        sid = await self._call()
        accepted = await self._jingle("session-accept", sid)
        assert accepted.find("{urn:xmpp:coin:1}conference-info") is not None, _text(accepted)
        assert list(accepted.iter(f"{{{ICE}}}candidate")), "there is no way to the focus"

    async def is_kept_out(self):
        try:
            await self._call()
        except AssertionError as error:
            assert "forbidden" in str(error), error
        else:
            raise AssertionError(f"{self._client.full} may call {self._focus}")

    async def is_offered(self, occupant: str):
        """The stream of somebody else."""
        offer = await self._jingle("session-initiate")
        seen = offer.find("{urn:wello:calls:0}stream")
        assert seen is not None and seen.get("occupant") == occupant, _text(offer)

    async def is_put_out(self):
        ended = await self._jingle("session-terminate", self._sid())
        assert ended.find(f".//{{{JINGLE}}}security-error") is not None, _text(ended)

    def _sid(self) -> str:
        return f"up-{self._ssrc}"

    async def _call(self) -> str:
        await self._client.ask("set", self._focus, OFFER.format(
            sid=self._sid(), me=self._client.full, ssrc=self._ssrc,
            fingerprint=":".join(f"{octet:02X}" for octet in range(32))))
        return self._sid()

    async def _jingle(self, action: str, sid: str = ""):
        """The next action of this kind by the focus, which is told that it has come."""
        def wanted(element):
            jingle = element.find(f"{{{JINGLE}}}jingle")
            return (element.tag == f"{NS}iq" and element.get("from") == self._focus
                    and jingle is not None and jingle.get("action") == action
                    and sid in ("", jingle.get("sid")))
        request = await self._client.expect(action, wanted)
        self._client.send(f"<iq type='result' id='{request.get('id')}' to='{self._focus}'/>")
        return request.find(f"{{{JINGLE}}}jingle")


OFFER = f"""\
<jingle xmlns='{JINGLE}' action='session-initiate' sid='{{sid}}' initiator='{{me}}'>\
<content creator='initiator' name='0' senders='initiator'>\
<description xmlns='{RTP}' media='audio'>\
<payload-type id='111' name='opus' clockrate='48000' channels='2'/>\
<source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='{{ssrc}}'/><rtcp-mux/></description>\
<transport xmlns='{ICE}' ufrag='abcd' pwd='0123456789012345678901'>\
<fingerprint xmlns='{DTLS}' hash='sha-256' setup='actpass'>{{fingerprint}}</fingerprint>\
</transport></content></jingle>"""


def _text(element) -> str:
    return ElementTree.tostring(element).decode()


async def kick(moderator: Client, room: str, nick: str):
    await moderator.ask("set", room, f"<query xmlns='{MUC_ADMIN}'>"
                                     f"<item nick='{nick}' role='none'/></query>")
