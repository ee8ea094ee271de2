//! What the others send, offered to those who are there.

use wello_sfu::api::{Command, LegId, LegSpec, Mid, OutputSpec};
use wello_wire::error::StanzaError;
use wello_wire::jid::{FullJid, Jid};
use wello_wire::ns;
use wello_wire::payload::jingle::{
    Action, Content, Description, Jingle, Senders, Setup, Source, SourceGroup,
};
use wello_wire::xml::Element;

use super::super::negotiate;
use super::{
    Conference, Dice, Down, Effects, Got, Guest, Sent, fresh, is_focus, out_of_order, session,
    unknown_session,
};

impl Conference {
    /// All that is sent already, to somebody who has joined.
    pub(super) fn offer_others(
        &mut self,
        newcomer: &FullJid,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) {
        let streams: Vec<(FullJid, String)> = self
            .people
            .iter()
            .filter(|(jid, _)| *jid != newcomer)
            .flat_map(|(jid, person)| person.ups.iter().map(|up| (jid.clone(), up.stream.clone())))
            .collect();
        for (sender, stream) in streams {
            self.offer(newcomer, &sender, &stream, dice, fx);
        }
    }

    /// What somebody sends, to all others.
    pub(super) fn offer_stream(
        &mut self,
        sender: &FullJid,
        stream: &str,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) {
        let others: Vec<FullJid> =
            self.people.keys().filter(|jid| *jid != sender).cloned().collect();
        for other in others {
            self.offer(&other, sender, stream, dice, fx);
        }
    }

    /// One stream to one receiver, unless there is nothing in it.
    fn offer(
        &mut self,
        to: &FullJid,
        sender: &FullJid,
        stream: &str,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) {
        let Some(from) = self.people.get(sender).filter(|person| person.guest.voice) else {
            return;
        };
        let Some(up) = from.ups.iter().find(|up| up.stream == stream) else { return };
        let contents: Vec<Got> = up
            .contents
            .iter()
            .filter(|sent| sent.offered.sends)
            .map(|sent| got(sent, dice))
            .collect();
        let Some(person) = self.people.get(to).filter(|_| !contents.is_empty()) else { return };
        let local = fresh(dice);
        let transport = self.transport(&local, Some(Setup::ActPass));
        let sid = dice.name();
        let offered = contents
            .iter()
            .map(|got| Content { transport: Some(transport.clone()), ..offered(got, stream) });
        let jingle = Jingle {
            initiator: Some(self.focus.clone().into()),
            contents: offered.collect(),
            bundle: contents.iter().map(|got| got.offered.mid.as_str().to_owned()).collect(),
            others: vec![
                is_focus(Some(users(&from.guest, &person.guest))),
                tag(&from.guest, stream),
            ],
            ..session(Action::SessionInitiate, &sid)
        };
        self.send(to, &jingle, dice, fx);
        let down = Down {
            sid,
            stream: stream.to_owned(),
            sender: sender.clone(),
            leg: LegId(dice.id()),
            local,
            accepted: false,
            contents,
        };
        if let Some(person) = self.people.get_mut(to) {
            person.downs.push(down);
        }
    }

    /// Contents that were added to a stream, to those who get it.
    pub(super) fn offer_more(
        &mut self,
        sender: &FullJid,
        stream: &str,
        names: &[Mid],
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) {
        let Some(from) = self.people.get(sender).filter(|person| person.guest.voice) else {
            return;
        };
        let Some(up) = from.ups.iter().find(|up| up.stream == stream) else { return };
        let added: Vec<&Sent> = up
            .contents
            .iter()
            .filter(|sent| sent.offered.sends && names.contains(&sent.offered.mid))
            .collect();
        let mut more = Vec::new();
        let mut without = Vec::new();
        for (jid, person) in self.people.iter().filter(|(jid, _)| *jid != sender) {
            let Some(down) = person.downs.iter().find(|down| down.stream == stream) else {
                without.push(jid.clone());
                continue;
            };
            let contents: Vec<Got> = added.iter().map(|sent| got(sent, dice)).collect();
            let jingle = Jingle {
                contents: contents.iter().map(|got| offered(got, stream)).collect(),
                ..session(Action::ContentAdd, &down.sid)
            };
            self.send(jid, &jingle, dice, fx);
            more.push((jid.clone(), contents));
        }
        for (jid, contents) in more {
            let person = self.people.get_mut(&jid);
            let downs = person.into_iter().flat_map(|person| person.downs.iter_mut());
            if let Some(down) = downs.into_iter().find(|down| down.stream == stream) {
                down.contents.extend(contents);
            }
        }
        for jid in without {
            self.offer(&jid, sender, stream, dice, fx);
        }
    }

    /// session-accept of a session that the focus began.
    pub(super) fn accepted(
        &mut self,
        jid: &FullJid,
        jingle: &Jingle,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let id = self.id;
        let person = self.people.get_mut(jid).ok_or_else(unknown_session)?;
        let down = person.downs.iter_mut().find(|down| down.sid == jingle.sid);
        let down = down.ok_or_else(|| out_of_order("this session is not to be accepted"))?;
        if down.accepted {
            return Err(out_of_order("accepted already"));
        }
        let side = negotiate::side(&jingle.contents)?;
        let outputs: Vec<OutputSpec> =
            down.contents.iter_mut().filter_map(|got| take(got, jingle)).collect();
        down.accepted = true;
        fx.media.push(Command::Open(Box::new(LegSpec {
            leg: down.leg,
            conference: id,
            local: down.local.clone(),
            remote: side.credentials,
            fingerprint: side.fingerprint,
            dtls_client: side.setup == Setup::Passive,
            controlling: true,
            payloads: spoken(down, &jingle.contents),
            extensions: negotiate::own_extensions(
                down.contents.iter().map(|got| &got.offered),
                &jingle.contents,
            ),
            tracks: Vec::new(),
            outputs,
        })));
        self.tell_muted(jid, &jingle.sid, dice, fx);
        Ok(())
    }

    /// content-accept and content-reject of what the focus added.
    pub(super) fn accepted_more(
        &mut self,
        jid: &FullJid,
        jingle: &Jingle,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let person = self.people.get_mut(jid).ok_or_else(unknown_session)?;
        let down = person.downs.iter_mut().find(|down| down.sid == jingle.sid);
        let down = down.ok_or_else(|| out_of_order("nothing was added"))?;
        let leg = down.leg;
        let named = |got: &Got| {
            jingle.contents.iter().any(|content| content.name == got.offered.mid.as_str())
        };
        if jingle.action == Action::ContentReject {
            down.contents.retain(|got| got.sent || !named(got));
            return Ok(());
        }
        for got in down.contents.iter_mut().filter(|got| !got.sent) {
            if let Some(output) = take(got, jingle) {
                fx.media.push(Command::AddOutput { leg, output });
            }
        }
        Ok(())
    }
}

fn got(sent: &Sent, dice: &mut dyn Dice) -> Got {
    let has_rtx = negotiate::engine_payloads(sent.offered.media, &sent.offered.payloads)
        .iter()
        .any(|payload| payload.rtx.is_some());
    Got {
        track: sent.track,
        offered: sent.offered.clone(),
        source: dice.number(),
        rtx: has_rtx.then(|| dice.number()),
        sent: false,
    }
}

/// A content as the focus offers it.
fn offered(got: &Got, stream: &str) -> Content {
    let mut description: Description = negotiate::passed_on(&got.offered);
    let parameters = vec![
        ("cname".to_owned(), stream.to_owned()),
        ("msid".to_owned(), format!("{stream} {stream}-{}", got.offered.mid.as_str())),
    ];
    for ssrc in std::iter::once(got.source).chain(got.rtx) {
        description.sources.push(Source { ssrc, parameters: parameters.clone() });
    }
    if let Some(rtx) = got.rtx {
        let sources = vec![got.source, rtx];
        description.groups.push(SourceGroup { semantics: "FID".to_owned(), sources });
    }
    Content {
        senders: Some(Senders::Initiator),
        description: Some(description),
        ..super::content(got.offered.mid.as_str())
    }
}

/// What the engine sends of a content when it was accepted.
fn take(got: &mut Got, jingle: &Jingle) -> Option<OutputSpec> {
    let content =
        jingle.contents.iter().find(|content| content.name == got.offered.mid.as_str())?;
    // Who accepts without a description takes all as it is.
    let payloads = match &content.description {
        Some(description) => negotiate::mapping(&got.offered, description),
        None => negotiate::mapping(&got.offered, &negotiate::answer(&got.offered)),
    };
    if payloads.is_empty() || content.senders == Some(Senders::None) {
        return None;
    }
    got.sent = true;
    Some(OutputSpec {
        track: got.track,
        mid: got.offered.mid.clone(),
        media: got.offered.media,
        source: got.source,
        rtx: got.rtx,
        payloads,
    })
}

/// The payload types of a session as the receiver calls them.
fn spoken(down: &Down, accepted: &[Content]) -> Vec<wello_sfu::api::Payload> {
    let mut all: Vec<wello_sfu::api::Payload> = Vec::new();
    for got in &down.contents {
        let content = accepted.iter().find(|content| content.name == got.offered.mid.as_str());
        let description = content.and_then(|content| content.description.as_ref());
        let payloads =
            description.map_or(&got.offered.payloads, |description| &description.payloads);
        for payload in negotiate::engine_payloads(got.offered.media, payloads) {
            if !all.iter().any(|known| known.pt == payload.pt) {
                all.push(payload);
            }
        }
    }
    all
}

/// Whose it is (XEP-0298), as far as the receiver may know.
fn users(sender: &Guest, receiver: &Guest) -> Element {
    let text = Element::new("display-text", ns::COIN).with_text(sender.occupant.resource());
    let user = Element::new("user", ns::COIN)
        .with_attr("entity", entity(sender, receiver))
        .with_child(text);
    Element::new("users", ns::COIN).with_child(user)
}

/// The address of a participant for another one.
pub(super) fn entity(sender: &Guest, receiver: &Guest) -> String {
    match receiver.sees_addresses {
        true => format!("xmpp:{}", sender.jid.bare_str()),
        false => format!("xmpp:{}", Jid::from(sender.occupant.clone())),
    }
}

fn tag(sender: &Guest, stream: &str) -> Element {
    Element::new("stream", ns::CALLS)
        .with_attr("id", stream)
        .with_attr("occupant", sender.occupant.as_str())
}
