//! What guests may send, and what may be sent to them.

use wello_kernel::accounts::Guest;
use wello_wire::jid::Jid;
use wello_wire::ns;
use wello_wire::stanza::{IqType, Kind, MessageType, PresenceType, Stanza};
use wello_wire::xml::Element;

/// What an address is to a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The guest's own address, or none.
    Own,
    Room,
    Occupant,
    Focus,
    /// The domain that the room or the focus is at.
    Service,
    /// The domain of the guests, or of the host above it.
    Host,
    Elsewhere,
}

fn place(guest: &Guest, own: &Jid, other: &Jid) -> Place {
    let is_domain = other.local().is_none() && other.is_bare();
    let focus = guest.focus.as_ref();
    let above = own.domain().split_once('.').map(|(_, above)| above);
    if other.bare_str() == own.bare_str() {
        Place::Own
    } else if other.bare_str() == guest.room.as_str() {
        if other.is_bare() { Place::Room } else { Place::Occupant }
    } else if focus.is_some_and(|focus| *other == **focus) {
        Place::Focus
    } else if is_domain && (other.domain() == own.domain() || Some(other.domain()) == above) {
        Place::Host
    } else if is_domain
        && (other.domain() == guest.room.domain()
            || focus.is_some_and(|focus| other.domain() == focus.domain()))
    {
        Place::Service
    } else {
        Place::Elsewhere
    }
}

/// With the reason, if not.
pub(super) fn may_send(guest: &Guest, own: &Jid, stanza: &Stanza) -> Result<(), &'static str> {
    let place = stanza.to.as_ref().map_or(Place::Own, |to| place(guest, own, to));
    let (permitted, reason) = match stanza.kind {
        Kind::Message => {
            let speaks = stanza.message_type() == MessageType::Groupchat;
            (speaks && place == Place::Room, "guests write to their room alone")
        }
        Kind::Presence => (may_show(place, stanza), "guests are seen in their room alone"),
        Kind::Iq => (may_ask(place, stanza), "not for guests"),
    };
    if permitted { Ok(()) } else { Err(reason) }
}

fn may_show(place: Place, presence: &Stanza) -> bool {
    match presence.presence_type() {
        Some(PresenceType::Available | PresenceType::Unavailable) => {
            presence.to.is_none() || place == Place::Occupant
        }
        Some(PresenceType::Error) => place == Place::Occupant,
        // Of a type that does not exist the router says so.
        type_ => type_.is_none(),
    }
}

fn may_ask(place: Place, iq: &Stanza) -> bool {
    let payload = iq.children().next().map_or("", Element::ns);
    match (place, iq.iq_type()) {
        (Place::Elsewhere, _) => false,
        (Place::Own | Place::Host, Some(IqType::Set)) => payload == ns::SESSION,
        (Place::Own, _) => false,
        (Place::Host, Some(IqType::Get)) => {
            [ns::DISCO_INFO, ns::DISCO_ITEMS, ns::EXTDISCO, ns::PING].contains(&payload)
        }
        (Place::Room | Place::Focus | Place::Service, Some(IqType::Get)) => {
            [ns::DISCO_INFO, ns::PING].contains(&payload)
        }
        // Its commands ring others and record.
        (Place::Focus, Some(IqType::Set)) => payload == ns::JINGLE,
        // Whether one is still there (XEP-0410).
        (Place::Occupant, Some(IqType::Get)) => payload == ns::PING,
        (Place::Room | Place::Occupant | Place::Service, Some(IqType::Set)) => false,
        // Answers, and what is no IQ at all, which the router says.
        (_, Some(IqType::Result | IqType::Error) | None) => true,
    }
}

/// With the reason, if not. `own` is the guest's address.
pub(super) fn may_receive(guest: &Guest, own: &Jid, from: &Jid) -> Result<(), &'static str> {
    match place(guest, own, from) {
        Place::Elsewhere => Err("guests are reached through their room alone"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use wello_store::Timestamp;

    use super::*;

    const OWN: &str = "guest-1@guest.d.example/web";

    fn guest() -> Guest {
        Guest {
            room: "hall@conference.d.example".parse().unwrap(),
            focus: Some("hall@calls.d.example".parse().unwrap()),
            link: "l".into(),
            member: false,
            address: "192.0.2.1".parse().unwrap(),
            expires: Timestamp::from_secs(1),
        }
    }

    fn sends(stanza: &str) -> bool {
        let stanza = stanza.replacen(' ', " xmlns='jabber:client' ", 1);
        let stanza = Stanza::from_element(stanza.parse().unwrap()).unwrap();
        may_send(&guest(), &OWN.parse().unwrap(), &stanza).is_ok()
    }

    fn asks(type_: &str, to: &str, payload: &str) -> bool {
        let to = if to.is_empty() { String::new() } else { format!("to='{to}'") };
        sends(&format!("<iq id='1' type='{type_}' {to}><query xmlns='{payload}'/></iq>"))
    }

    #[test]
    fn they_speak_in_their_room_and_nowhere_else() {
        assert!(sends("<message type='groupchat' to='hall@conference.d.example'/>"));
        for other in [
            "type='chat' to='hall@conference.d.example/Romeo'",
            "type='groupchat' to='cellar@conference.d.example'",
            "to='hall@conference.d.example'",
            "type='chat' to='romeo@d.example'",
            "type='chat' to='romeo@far.example'",
            "type='chat'",
        ] {
            assert!(!sends(&format!("<message {other}/>")), "{other}");
        }
    }

    #[test]
    fn they_are_seen_in_their_room_and_nowhere_else() {
        assert!(sends("<presence />"));
        assert!(sends("<presence to='hall@conference.d.example/Ann'/>"));
        assert!(sends("<presence type='unavailable' to='hall@conference.d.example/Ann'/>"));
        for other in [
            "to='cellar@conference.d.example/Ann'",
            "to='romeo@d.example'",
            "type='subscribe' to='romeo@d.example'",
            "type='subscribe' to='hall@conference.d.example/Ann'",
            "type='probe' to='romeo@d.example'",
        ] {
            assert!(!sends(&format!("<presence {other}/>")), "{other}");
        }
    }

    #[test]
    fn they_ask_what_a_call_takes() {
        let (room, focus) = ("hall@conference.d.example", "hall@calls.d.example");
        let occupant = "hall@conference.d.example/Romeo";
        for (type_, to, payload) in [
            ("set", focus, ns::JINGLE),
            ("result", focus, ns::JINGLE),
            ("get", "d.example", ns::EXTDISCO),
            ("get", "guest.d.example", ns::EXTDISCO),
            ("get", "guest.d.example", ns::DISCO_INFO),
            ("set", "guest.d.example", ns::SESSION),
            ("set", "", ns::SESSION),
            ("get", room, ns::DISCO_INFO),
            ("get", occupant, ns::PING),
            ("error", occupant, ns::DISCO_INFO),
        ] {
            assert!(asks(type_, to, payload), "{type_} {to} {payload}");
        }
        for (type_, to, payload) in [
            ("get", "", ns::ROSTER),
            ("set", "", ns::MAM),
            ("set", "", ns::CARBONS),
            ("set", room, ns::MUC_ADMIN),
            ("set", room, ns::MUC_OWNER),
            ("set", room, ns::MAM),
            ("set", room, ns::REGISTER),
            ("set", room, ns::COMMANDS),
            ("set", focus, ns::COMMANDS),
            ("set", occupant, ns::JINGLE),
            ("set", "cellar@calls.d.example", ns::JINGLE),
            ("set", "d.example", ns::REGISTER),
            ("set", "d.example", ns::COMMANDS),
            ("get", "upload.d.example", ns::HTTP_UPLOAD),
            ("set", "search.d.example", ns::DISCO_INFO),
            ("get", "romeo@d.example", ns::VCARD_TEMP),
            ("set", "romeo@d.example/phone", ns::JINGLE),
            ("result", "romeo@far.example/phone", ns::PING),
        ] {
            assert!(!asks(type_, to, payload), "{type_} {to} {payload}");
        }
    }

    #[test]
    fn they_hear_from_their_room_alone() {
        let hears = |from: &str| {
            may_receive(&guest(), &OWN.parse().unwrap(), &from.parse().unwrap()).is_ok()
        };
        for from in [
            "hall@conference.d.example",
            "hall@conference.d.example/Romeo",
            "hall@calls.d.example",
            "d.example",
            "guest.d.example",
            OWN,
        ] {
            assert!(hears(from), "{from}");
        }
        for from in ["romeo@d.example/phone", "cellar@conference.d.example", "far.example"] {
            assert!(!hears(from), "{from}");
        }
    }
}
