//! What changes within sessions.

use wello_sfu::api::{Command, LegId, Mid, Rid, TrackId};
use wello_wire::error::StanzaError;
use wello_wire::jid::FullJid;
use wello_wire::ns;
use wello_wire::payload::jingle::{Action, Content, Jingle, Senders, Transport};
use wello_wire::xml::Element;

use super::super::negotiate;
use super::{Conference, Dice, Effects, Guest, fresh, out_of_order, session, unknown_session};

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
        let is_up = person.ups.iter().any(|up| up.sid == jingle.sid);
        if !is_up && !person.downs.iter().any(|down| down.sid == jingle.sid) {
            return Err(unknown_session());
        }
        match jingle.action {
            Action::SessionTerminate => self.terminate(jid, &jingle.sid, dice, fx),
            Action::SessionAccept => self.accepted(jid, jingle, dice, fx),
            Action::SessionInfo if is_up => self.inform(jid, jingle, dice, fx),
            Action::SessionInfo => self.choose_layer(jid, jingle, fx),
            Action::TransportInfo => self.transport_info(jid, jingle, dice, fx),
            Action::ContentAdd => self.add_contents(jid, jingle, dice, fx),
            Action::ContentRemove if is_up => self.remove_contents(jid, jingle, dice, fx),
            Action::ContentModify if is_up => {
                self.hold(jid, jingle, dice, fx)?;
                self.pause_plain(jid, jingle, fx);
                Ok(())
            }
            Action::ContentModify => self.pause(jid, jingle, fx),
            Action::ContentAccept | Action::ContentReject => self.accepted_more(jid, jingle, fx),
            // What is told of the description changes nothing for the focus.
            Action::DescriptionInfo | Action::SecurityInfo => Ok(()),
            Action::ContentRemove => Err(out_of_order("only who sends removes contents")),
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
            let downs = person.downs.iter().filter(|down| down.stream == stream && down.accepted);
            for down in downs {
                let others = payloads.iter().map(as_initiator).collect();
                let jingle = Jingle { others, ..session(Action::SessionInfo, &down.sid) };
                self.send(jid, &jingle, dice, fx);
            }
        }
    }

    /// What is muted, to somebody who gets the stream only now.
    pub(super) fn tell_muted(
        &self,
        jid: &FullJid,
        sid: &str,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) {
        let down = self
            .people
            .get(jid)
            .and_then(|person| person.downs.iter().find(|down| down.sid == sid));
        let Some(down) = down else { return };
        let ups = self.people.get(&down.sender).into_iter().flat_map(|person| &person.ups);
        let muted = ups
            .filter(|up| up.stream == down.stream)
            .flat_map(|up| &up.contents)
            .filter(|sent| sent.muted)
            .map(|sent| {
                Element::new("mute", ns::JINGLE_RTP_INFO)
                    .with_attr("creator", "initiator")
                    .with_attr("name", sent.offered.mid.as_str())
            });
        let others: Vec<Element> = muted.collect();
        if !others.is_empty() {
            let jingle = Jingle { others, ..session(Action::SessionInfo, sid) };
            self.send(jid, &jingle, dice, fx);
        }
    }

    /// Which layer a receiver wants at the most.
    fn choose_layer(
        &mut self,
        jid: &FullJid,
        jingle: &Jingle,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let person = self.people.get(jid).ok_or_else(unknown_session)?;
        let down = person.downs.iter().find(|down| down.sid == jingle.sid);
        let down = down.ok_or_else(unknown_session)?;
        let mut known = jingle.others.is_empty();
        for wish in &jingle.others {
            // COMPAT: voice.channel names no content, and no namespace that could be looked up.
            let is_wish = wish.is("layer", ns::CALLS) || wish.name() == "ridrequest";
            known |= is_wish || wish.ns() == ns::JINGLE_RTP_INFO;
            let name = wish.attr("name");
            let layer = wish.attr("rid").and_then(Rid::new);
            for got in down.contents.iter().filter(|_| is_wish) {
                if !got.offered.layers.is_empty()
                    && name.is_none_or(|name| got.offered.mid.as_str() == name)
                {
                    let mid = got.offered.mid.clone();
                    fx.media.push(Command::Limit { leg: down.leg, mid, layer: layer.clone() });
                }
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
        let transports = jingle.contents.iter().filter_map(|content| content.transport.as_ref());
        let count: usize = transports.map(|transport| transport.candidates.len()).sum();
        if count > negotiate::MAX_CANDIDATES {
            return Err(StanzaError::not_acceptable("too many candidates"));
        }
        let restart = |content: &&Content| content.transport.as_ref().is_some_and(begins_anew);
        let content = jingle.contents.iter().find(restart);
        let Some(Content { name, transport: Some(transport), .. }) = content else {
            return Ok(());
        };
        let remote = negotiate::credentials(transport)?;
        let person = self.people.get_mut(jid).ok_or_else(unknown_session)?;
        let local = fresh(dice);
        let (leg, name) = leg_of(person, &jingle.sid, name, &local).ok_or_else(unknown_session)?;
        let answer = Jingle {
            contents: vec![Content {
                transport: Some(self.transport(&local, None)),
                ..super::content(name.as_str())
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
        let stream = up.stream.clone();
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
        self.withdraw(&stream, &removed, dice, fx);
        self.tell_roster(dice, fx);
        Ok(())
    }

    /// Contents that are sent no more are taken from those who got them.
    fn withdraw(
        &mut self,
        stream: &str,
        tracks: &[TrackId],
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) {
        let mut told = Vec::new();
        for (jid, person) in &mut self.people {
            for down in person.downs.iter_mut().filter(|down| down.stream == stream) {
                let mut contents = Vec::new();
                let leg = down.leg;
                down.contents.retain(|got| {
                    let goes = tracks.contains(&got.track);
                    if goes {
                        let mid = got.offered.mid.clone();
                        contents.push(super::content(mid.as_str()));
                        fx.media.push(Command::RemoveOutput { leg, mid });
                    }
                    !goes
                });
                let jingle = Jingle { contents, ..session(Action::ContentRemove, &down.sid) };
                told.push((jid.clone(), jingle));
            }
        }
        for (jid, jingle) in told.iter().filter(|(_, jingle)| !jingle.contents.is_empty()) {
            self.send(jid, jingle, dice, fx);
        }
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
        let mut begun = Vec::new();
        for sent in &mut up.contents {
            let Some(wish) = wish(jingle, &sent.offered.mid) else { continue };
            let on = wish != Senders::None && wish != Senders::Responder;
            if on && !voice {
                return Err(StanzaError::forbidden("no voice in this room"));
            }
            sent.sending = on;
            if on && !sent.offered.sends {
                sent.offered.sends = true;
                begun.push(sent.offered.mid.clone());
            }
            fx.media.push(Command::Forward { track: sent.track, on });
        }
        if !begun.is_empty() {
            self.offer_more(jid, &stream, &begun, dice, fx);
        }
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
        let down = person.downs.iter().find(|down| down.sid == jingle.sid);
        let down = down.ok_or_else(unknown_session)?;
        for got in down.contents.iter().filter(|got| got.sent) {
            let mid = got.offered.mid.clone();
            if let Some(wish) = wish(jingle, &mid) {
                let paused = wish != Senders::Initiator && wish != Senders::Both;
                fx.media.push(Command::Pause { leg: down.leg, mid, paused });
            }
        }
        Ok(())
    }
}

fn wish(jingle: &Jingle, mid: &Mid) -> Option<Senders> {
    let content = jingle.contents.iter().find(|content| content.name == mid.as_str())?;
    content.senders
}

/// An ICE restart (XEP-0176, section 6.4).
fn begins_anew(transport: &Transport) -> bool {
    transport.candidates.is_empty() && transport.ufrag.is_some() && transport.password.is_some()
}

/// The transport of a session and the name of a content that it carries; remembers its new
/// credentials.
fn leg_of(
    person: &mut super::Person,
    sid: &str,
    content: &str,
    local: &wello_sfu::api::Credentials,
) -> Option<(LegId, Mid)> {
    if let Some(leg) = person.plain.as_ref().and_then(|plain| plain.transport_of(content)) {
        return Some((leg, Mid::new(content)?));
    }
    if let Some(up) = person.ups.iter().find(|up| up.sid == sid) {
        return Some((up.leg, up.contents.first()?.offered.mid.clone()));
    }
    let down = person.downs.iter_mut().find(|down| down.sid == sid)?;
    down.local = local.clone();
    Some((down.leg, down.contents.first()?.offered.mid.clone()))
}

/// The sessions that the focus begins have contents that it has created.
fn as_initiator(payload: &Element) -> Element {
    let mut payload = payload.clone();
    if payload.attr("creator").is_some() {
        payload.set_attr("creator", "initiator");
    }
    payload
}

/// XEP-0166, section 6.8.
fn unsupported_info() -> StanzaError {
    let mut error = StanzaError::feature_not_implemented("no such information");
    error.application = Some(Box::new(Element::new("unsupported-info", ns::JINGLE_ERRORS)));
    error
}
