//! What changes within sessions.

use wello_sfu::api::{Command, Credentials, LegId, Mid, Rid, TrackId};
use wello_wire::error::StanzaError;
use wello_wire::jid::FullJid;
use wello_wire::ns;
use wello_wire::payload::jingle::{Action, Content, Jingle, Senders, Transport};
use wello_wire::xml::Element;

use super::super::dialects::content;
use super::super::negotiate;
use super::offers::portions;
use super::{
    Conference, Dice, Down, Effects, Got, Guest, Person, Progress, fresh, out_of_order, session,
    unknown_session,
};

impl Conference {
    /// Any action of a client but session-initiate.
    pub fn handle(
        &mut self,
        jid: &FullJid,
        jingle: &Jingle,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let person = self.people.get(jid).ok_or_else(unknown_session)?;
        let is_up = person.sends(&jingle.sid);
        if !is_up && !person.downs.iter().any(|down| down.sid == jingle.sid) {
            return Err(unknown_session());
        }
        let gets = person.gets(jingle);
        match jingle.action {
            Action::SessionTerminate => self.terminate(jid, &jingle.sid, dice, fx),
            Action::SessionAccept | Action::ContentAccept => self.accepted(jid, jingle, dice, fx),
            Action::ContentReject => self.rejected(jid, jingle, dice, fx),
            Action::SessionInfo if is_up && !jingle.others.iter().any(is_wish) => {
                self.inform(jid, jingle, dice, fx)
            }
            Action::SessionInfo => self.wish(jid, jingle, fx),
            Action::TransportInfo => self.transport_info(jid, jingle, dice, fx),
            Action::ContentAdd => self.add_contents(jid, jingle, dice, fx),
            Action::ContentRemove if gets => self.refuse_contents(jid, jingle, fx),
            Action::ContentRemove if is_up => self.remove_contents(jid, jingle, dice, fx),
            Action::ContentModify if gets => self.pause(jid, jingle, fx),
            Action::ContentModify if is_up => {
                self.hold(jid, jingle, dice, fx)?;
                self.pause_plain(jid, jingle, fx);
                Ok(())
            }
            // What is told of the description changes nothing for the focus.
            Action::DescriptionInfo | Action::SecurityInfo => Ok(()),
            Action::ContentRemove | Action::ContentModify => Err(out_of_order("no such content")),
            Action::SessionInitiate => Err(StanzaError::conflict("this session is there already")),
            Action::TransportAccept | Action::TransportReject | Action::TransportReplace => {
                Err(StanzaError::feature_not_implemented("the transport stays"))
            }
        }
    }

    /// mute, unmute, hold and the like of what somebody sends (XEP-0167, section 8).
    fn inform(
        &mut self,
        jid: &FullJid,
        jingle: &Jingle,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        // An empty one asks whether the session is there (XEP-0166, section 6.8).
        let info = |child: &&Element| child.ns() == ns::JINGLE_RTP_INFO;
        let payloads: Vec<Element> = jingle.others.iter().filter(info).cloned().collect();
        if payloads.is_empty() {
            return match jingle.others.is_empty() {
                true => Ok(()),
                false => Err(unsupported_info()),
            };
        }
        let person = self.people.get_mut(jid).ok_or_else(unknown_session)?;
        let up = person.ups.iter_mut().find(|up| up.sid == jingle.sid);
        let up = up.ok_or_else(unknown_session)?;
        for payload in &payloads {
            let muted = match payload.name() {
                "mute" => true,
                "unmute" => false,
                _ => continue,
            };
            let name = payload.attr("name");
            let concerned = up
                .contents
                .iter_mut()
                .filter(|sent| name.is_none_or(|name| sent.offered.mid.as_str() == name));
            concerned.for_each(|sent| sent.muted = muted);
        }
        let stream = up.stream.clone();
        self.relay(&stream, &payloads, dice, fx);
        self.tell_roster(dice, fx);
        Ok(())
    }

    /// Passes information on a stream on to those who get it.
    fn relay(&self, stream: &str, payloads: &[Element], dice: &mut dyn Dice, fx: &mut Effects) {
        for (jid, person) in &self.people {
            for down in person.downs.iter().filter(|down| down.open) {
                let got: Vec<&Got> =
                    down.with(Progress::Sent).filter(|got| got.stream == stream).collect();
                let alone = !person.adapter().gathers()
                    && down.contents.iter().all(|got| got.stream == stream);
                let others: Vec<Element> =
                    payloads.iter().flat_map(|payload| translated(payload, &got, alone)).collect();
                self.tell(jid, person, down, &got, &others, dice, fx);
            }
        }
    }

    /// What of contents that somebody gets only now is muted.
    pub(super) fn tell_muted(
        &self,
        jid: &FullJid,
        leg: LegId,
        names: &[String],
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) {
        let Some(person) = self.people.get(jid) else { return };
        let Some(down) = person.downs.iter().find(|down| down.leg == leg) else { return };
        let sent = self.people.values().flat_map(|person| &person.ups).flat_map(|up| &up.contents);
        let muted: Vec<TrackId> = sent.filter(|sent| sent.muted).map(|sent| sent.track).collect();
        let is_new = |got: &&Got| names.iter().any(|name| name == got.offered.mid.as_str());
        let got: Vec<&Got> =
            down.contents.iter().filter(is_new).filter(|got| muted.contains(&got.track)).collect();
        let mute = Element::new("mute", ns::JINGLE_RTP_INFO).with_attr("creator", "initiator");
        let named = |got: &&Got| mute.clone().with_attr("name", got.offered.mid.as_str());
        let others: Vec<Element> = got.iter().map(named).collect();
        self.tell(jid, person, down, &got, &others, dice, fx);
    }

    /// session-info on contents, for each of their senders.
    #[expect(clippy::too_many_arguments, reason = "one message and its addressee")]
    fn tell(
        &self,
        jid: &FullJid,
        person: &Person,
        down: &Down,
        got: &[&Got],
        others: &[Element],
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) {
        for portion in portions(&person.guest, got.iter().copied()) {
            let concerns = |other: &&Element| {
                other.attr("name").is_none_or(|name| portion.names.iter().any(|own| own == name))
            };
            let about: Vec<Element> = others.iter().filter(concerns).cloned().collect();
            if !about.is_empty() {
                let info = person.adapter().inform(&down.sid, &portion, about);
                self.send(jid, &info, dice, fx);
            }
        }
    }

    /// What a receiver wants of all that there is.
    fn wish(
        &mut self,
        jid: &FullJid,
        jingle: &Jingle,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let person = self.people.get_mut(jid).ok_or_else(unknown_session)?;
        let mut known = jingle.others.is_empty();
        for wish in &jingle.others {
            known |= is_wish(wish) || wish.ns() == ns::JINGLE_RTP_INFO;
            if is_view(wish) {
                person.view = speakers(wish)?;
                person.tell_view(fx);
            } else if is_wish(wish) {
                person.choose_layer(&jingle.sid, wish, fx);
            }
        }
        if known { Ok(()) } else { Err(unsupported_info()) }
    }

    /// Candidates need no care; new credentials are an ICE restart (XEP-0176, section 6.4).
    fn transport_info(
        &mut self,
        jid: &FullJid,
        jingle: &Jingle,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let transports = || jingle.contents.iter().filter_map(|content| content.transport.as_ref());
        let count: usize = transports().map(|transport| transport.candidates.len()).sum();
        if count > negotiate::MAX_CANDIDATES {
            return Err(StanzaError::not_acceptable("too many candidates"));
        }
        let restart = |transport: &&Transport| {
            transport.candidates.is_empty()
                && transport.ufrag.is_some()
                && transport.password.is_some()
        };
        let Some(transport) = transports().find(restart) else { return Ok(()) };
        let remote = negotiate::credentials(transport)?;
        let person = self.people.get_mut(jid).ok_or_else(unknown_session)?;
        let local = fresh(dice);
        let (leg, name) = person.renew(jingle, &local).ok_or_else(unknown_session)?;
        let answer = Jingle {
            contents: vec![Content {
                transport: Some(self.transport(&local, None)),
                ..content(name.as_str())
            }],
            ..session(Action::TransportInfo, &jingle.sid)
        };
        fx.media.push(Command::Restart { leg, local, remote });
        self.send(jid, &answer, dice, fx);
        Ok(())
    }

    fn remove_contents(
        &mut self,
        jid: &FullJid,
        jingle: &Jingle,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let person = self.people.get_mut(jid).ok_or_else(unknown_session)?;
        let up = person.ups.iter_mut().find(|up| up.sid == jingle.sid);
        let up = up.ok_or_else(unknown_session)?;
        let named = |mid: &Mid| jingle.contents.iter().any(|content| content.name == mid.as_str());
        let left = up.contents.iter().filter(|sent| !named(&sent.offered.mid)).count();
        if left == 0 {
            return Err(out_of_order("the last content goes with the session"));
        }
        let mut removed: Vec<TrackId> = Vec::new();
        up.contents.retain(|sent| {
            let goes = named(&sent.offered.mid);
            if goes {
                removed.push(sent.track);
            }
            !goes
        });
        for track in &removed {
            fx.media.push(Command::RemoveTrack { track: *track });
        }
        self.withdraw(&removed, dice, fx);
        self.tell_roster(dice, fx);
        Ok(())
    }

    /// content-remove of a receiver: it does not want this any more.
    fn refuse_contents(
        &mut self,
        jid: &FullJid,
        jingle: &Jingle,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let person = self.people.get_mut(jid).ok_or_else(unknown_session)?;
        for down in person.downs.iter_mut().filter(|down| down.sid == jingle.sid) {
            let leg = down.leg;
            for got in down.contents.iter_mut().filter(|got| got.is_in(jingle)) {
                if got.progress == Progress::Sent {
                    let mid = got.offered.mid.clone();
                    fx.media.push(Command::RemoveOutput { leg, mid });
                }
                got.progress = Progress::Declined;
            }
            down.settle();
        }
        Ok(())
    }

    /// content-modify of who sends: hold, and back.
    fn hold(
        &mut self,
        jid: &FullJid,
        jingle: &Jingle,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let person = self.people.get_mut(jid).ok_or_else(unknown_session)?;
        let Guest { voice, .. } = person.guest;
        let up = person.ups.iter_mut().find(|up| up.sid == jingle.sid);
        let up = up.ok_or_else(unknown_session)?;
        let stream = up.stream.clone();
        for sent in &mut up.contents {
            let Some(wish) = wish(jingle, &sent.offered.mid) else { continue };
            let on = wish != Senders::None && wish != Senders::Responder;
            if on && !voice {
                return Err(StanzaError::forbidden("no voice in this room"));
            }
            sent.sending = on;
            sent.offered.sends |= on;
            fx.media.push(Command::Forward { track: sent.track, on });
        }
        self.offer_stream(jid, &stream, dice, fx);
        self.tell_roster(dice, fx);
        Ok(())
    }

    /// content-modify of a receiver: does it want this now?
    fn pause(
        &mut self,
        jid: &FullJid,
        jingle: &Jingle,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let person = self.people.get(jid).ok_or_else(unknown_session)?;
        for down in person.downs.iter().filter(|down| down.sid == jingle.sid) {
            for got in down.with(Progress::Sent) {
                let mid = got.offered.mid.clone();
                if let Some(wish) = wish(jingle, &mid) {
                    let paused = wish != Senders::Initiator && wish != Senders::Both;
                    fx.media.push(Command::Pause { leg: down.leg, mid, paused });
                }
            }
        }
        Ok(())
    }
}

impl Person {
    /// Whether a request is about contents that it gets.
    fn gets(&self, jingle: &Jingle) -> bool {
        let downs = self.downs.iter().filter(|down| down.sid == jingle.sid);
        downs.flat_map(|down| &down.contents).any(|got| got.is_in(jingle))
    }

    /// Which layer it wants at the most.
    fn choose_layer(&self, sid: &str, wish: &Element, fx: &mut Effects) {
        let (name, layer) = (wish.attr("name"), wish.attr("rid").and_then(Rid::new));
        let downs = self.downs.iter().filter(|down| down.sid == sid);
        for (leg, mid) in downs.flat_map(|down| down.layered(name)) {
            fx.media.push(Command::Limit { leg, mid, layer: layer.clone() });
        }
    }

    /// The transport that a request is about and the name of its first content; remembers its new
    /// credentials.
    fn renew(&mut self, jingle: &Jingle, local: &Credentials) -> Option<(LegId, Mid)> {
        if let Some(found) = self.plain.as_ref().and_then(|plain| plain.transport_of(jingle)) {
            return Some(found);
        }
        let is_up = self.sends(&jingle.sid);
        let named = |down: &Down| down.contents.iter().any(|got| got.is_in(jingle));
        let mut downs = self.downs.iter_mut().filter(|down| down.sid == jingle.sid);
        if let Some(down) = downs.find(|down| !is_up || named(down)) {
            down.local = local.clone();
            return Some((down.leg, down.contents.first()?.offered.mid.clone()));
        }
        let up = self.ups.iter().find(|up| up.sid == jingle.sid)?;
        Some((up.leg, up.contents.first()?.offered.mid.clone()))
    }
}

impl Down {
    /// What of it has layers.
    fn layered<'a>(&'a self, name: Option<&'a str>) -> impl Iterator<Item = (LegId, Mid)> + 'a {
        let named = move |got: &&Got| name.is_none_or(|name| got.offered.mid.as_str() == name);
        let layered = self.with(Progress::Sent).filter(|got| !got.offered.layers.is_empty());
        layered.filter(named).map(|got| (self.leg, got.offered.mid.clone()))
    }
}

/// COMPAT: voice.channel names no content, and no namespace that could be looked up.
fn is_wish(info: &Element) -> bool {
    info.is("layer", ns::CALLS) || info.name() == "ridrequest" || is_view(info)
}

fn is_view(info: &Element) -> bool {
    info.is("last-n", ns::CALLS)
}

/// Without a number it is as many as everybody sees.
fn speakers(view: &Element) -> Result<Option<usize>, StanzaError> {
    let count = view.attr("count").map(str::parse).transpose();
    count.map_err(|_| StanzaError::bad_request("how many speakers?"))
}

fn wish(jingle: &Jingle, mid: &Mid) -> Option<Senders> {
    let content = jingle.contents.iter().find(|content| content.name == mid.as_str())?;
    content.senders
}

/// Information on contents by the names that a receiver knows them by. `alone`: there is nothing
/// else on the transport, so that it needs no name.
fn translated(payload: &Element, got: &[&Got], alone: bool) -> Vec<Element> {
    let name = payload.attr("name");
    if name.is_none() && (alone || !matches!(payload.name(), "mute" | "unmute")) {
        return if alone { vec![payload.clone()] } else { Vec::new() };
    }
    let concerned = got.iter().filter(|got| name.is_none_or(|name| got.origin.as_str() == name));
    let named = concerned.map(|got| {
        let mut payload = payload.clone();
        // The focus has created what it offers.
        payload.set_attr("creator", "initiator");
        payload.set_attr("name", got.offered.mid.as_str());
        payload
    });
    named.collect()
}

/// XEP-0166, section 6.8.
fn unsupported_info() -> StanzaError {
    let mut error = StanzaError::feature_not_implemented("no such information");
    error.application = Some(Box::new(Element::new("unsupported-info", ns::JINGLE_ERRORS)));
    error
}
