//! Who is in the conference and sends what (RFC 4575, carried as in XEP-0298), and who speaks.

use wello_sfu::api::{Media, TrackId};
use wello_wire::jid::FullJid;
use wello_wire::ns;
use wello_wire::payload::jingle::{Action, Jingle};
use wello_wire::xml::Element;

use super::super::dialects::address;
use super::{Conference, Dice, Effects, Guest, Person, Sent, Up, session};

impl Conference {
    /// The whole roster to everybody, as each may see it.
    pub(super) fn tell_roster(&mut self, dice: &mut dyn Dice, fx: &mut Effects) {
        self.version = self.version.wrapping_add(1);
        fx.roster_changed = true;
        for (jid, person) in self.told() {
            self.request(jid, self.roster(&person.guest), dice, fx);
        }
    }

    /// Those whose dialect has it.
    fn told(&self) -> impl Iterator<Item = (&FullJid, &Person)> {
        self.people.iter().filter(|(_, person)| person.adapter().is_told())
    }

    /// The roster as everybody in the room may see it; `None`: nobody is in the conference.
    pub fn public_roster(&self) -> Option<Element> {
        let mut viewers = self.people.values().map(|person| &person.guest);
        let viewer = viewers.find(|guest| !guest.sees_addresses);
        let viewer = viewer.or_else(|| self.people.values().next().map(|person| &person.guest))?;
        Some(self.roster(viewer))
    }

    fn roster(&self, viewer: &Guest) -> Element {
        let text = |name: &'static str, text: String| element(name).with_text(text);
        let users = self.people.values().map(|person| user(person, viewer));
        let recording = self.recorded.then(|| Element::new("recording", ns::CALLS));
        element("conference-info")
            .with_attr("entity", format!("xmpp:{}", self.focus))
            .with_attr("state", "full")
            .with_attr("version", self.version.to_string())
            .with_child(
                element("conference-state")
                    .with_child(text("user-count", self.people.len().to_string()))
                    .with_children(recording),
            )
            .with_child(element("users").with_children(users))
    }

    /// Somebody else speaks now.
    pub fn speaks(&mut self, track: Option<TrackId>, dice: &mut dyn Dice, fx: &mut Effects) {
        self.speaker = track.or(self.speaker);
        let of = |person: &Person| {
            let up = person
                .ups
                .iter()
                .find(|up| up.contents.iter().any(|sent| Some(sent.track) == track));
            up.map(|up| (up.stream.clone(), person.guest.occupant.clone()))
        };
        let speaker = self.people.values().find_map(of);
        let mut payload = Element::new("speaker", ns::CALLS);
        if let Some((stream, occupant)) = &speaker {
            payload = payload
                .with_attr("stream", stream.as_str())
                .with_attr("occupant", occupant.as_str());
        }
        for (jid, person) in self.told() {
            let others = vec![payload.clone()];
            let jingle = Jingle { others, ..session(Action::SessionInfo, person.home()) };
            self.send(jid, &jingle, dice, fx);
        }
    }
}

fn element(name: &'static str) -> Element {
    Element::new(name, ns::CONFERENCE_INFO)
}

fn user(person: &Person, viewer: &Guest) -> Element {
    let guest = &person.guest;
    let connected = person.ups.iter().any(|up| up.connected);
    let status = if connected { "connected" } else { "pending" };
    let media =
        person.ups.iter().flat_map(|up| up.contents.iter().map(move |sent| media(up, sent)));
    let endpoint = element("endpoint")
        .with_attr("entity", guest.occupant.as_str())
        .with_child(element("status").with_text(status))
        .with_children(media);
    element("user")
        .with_attr("entity", format!("xmpp:{}", address(guest, viewer)))
        .with_attr("state", "full")
        .with_child(element("display-text").with_text(guest.occupant.resource()))
        .with_child(endpoint)
}

/// RFC 4575, section 5.8.
fn media(up: &Up, sent: &Sent) -> Element {
    let kind = match sent.offered.media {
        Media::Audio => "audio",
        Media::Video => "video",
    };
    let status = if sent.sending && !sent.muted { "sendonly" } else { "inactive" };
    let category = sent.offered.categories.first();
    element("media")
        .with_attr("id", format!("{}:{}", up.stream, sent.offered.mid.as_str()))
        .with_children(category.map(|name| element("display-text").with_text(name.as_str())))
        .with_child(element("type").with_text(kind))
        .with_child(element("status").with_text(status))
}
