//! What receivers answer to what they are offered.

use wello_sfu::api::{Command, ConferenceId, Data, LegSpec, OutputSpec, Payload};
use wello_wire::error::StanzaError;
use wello_wire::jid::FullJid;
use wello_wire::payload::jingle::{Action, Content, Jingle, Senders, Setup};

use super::super::dialects::SPOKEN;
use super::super::negotiate::{self, Side};
use super::{
    Conference, Dice, Down, Effects, Got, Person, Progress, out_of_order, unknown_session,
};

impl Conference {
    /// session-accept or content-accept of what the focus has offered.
    pub(super) fn accepted(
        &mut self,
        jid: &FullJid,
        jingle: &Jingle,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let conference = self.id;
        let person = self.people.get_mut(jid).ok_or_else(unknown_session)?;
        let (gathers, reports) = (person.adapter().gathers(), person.adapter().reports());
        let down = person.asked(jingle)?;
        let side = match down.open {
            false => Some(negotiate::side(&jingle.contents)?),
            true => None,
        };
        let spoken = if gathers { SPOKEN.to_vec() } else { spoken(down, &jingle.contents) };
        let offered = down.contents.iter_mut().filter(|got| got.progress == Progress::Offered);
        let outputs: Vec<OutputSpec> = offered.filter_map(|got| got.take(jingle)).collect();
        if jingle.action == Action::SessionAccept {
            // What is missing is not wanted (XEP-0166, section 6.4).
            down.decline(|_| true);
        }
        down.settle();
        let taken: Vec<String> =
            outputs.iter().map(|output| output.mid.as_str().to_owned()).collect();
        match side {
            Some(side) => {
                let extensions = down.extensions(&jingle.contents, reports);
                fx.media.push(down.begin(conference, side, spoken, extensions, outputs));
            }
            None => fx.media.extend(
                outputs.into_iter().map(|output| Command::AddOutput { leg: down.leg, output }),
            ),
        }
        let leg = down.leg;
        if person.view.is_some() {
            person.tell_view(fx);
        }
        self.tell_muted(jid, leg, &taken, dice, fx);
        self.ask(jid, dice, fx);
        Ok(())
    }

    /// content-reject of what the focus has offered.
    pub(super) fn rejected(
        &mut self,
        jid: &FullJid,
        jingle: &Jingle,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) -> Result<(), StanzaError> {
        let person = self.people.get_mut(jid).ok_or_else(unknown_session)?;
        let down = person.asked(jingle)?;
        down.decline(|got| got.is_in(jingle));
        down.settle();
        self.ask(jid, dice, fx);
        Ok(())
    }

    /// An error came to a request: what it has offered is not there.
    pub fn bounced(&mut self, jid: &FullJid, request: &str, dice: &mut dyn Dice, fx: &mut Effects) {
        let Some(person) = self.people.get_mut(jid) else { return };
        let asked = |down: &Down| down.asked.as_deref() == Some(request);
        person.downs.retain(|down| down.open || !asked(down));
        for down in person.downs.iter_mut().filter(|down| asked(down)) {
            down.decline(|_| true);
            down.settle();
        }
        self.ask(jid, dice, fx);
    }
}

impl Person {
    /// The transport on which what somebody answers to was offered.
    fn asked(&mut self, answer: &Jingle) -> Result<&mut Down, StanzaError> {
        let down = self.downs.iter_mut().find(|down| {
            let mut offered = down.with(Progress::Offered);
            down.sid == answer.sid
                && match answer.action {
                    // What was offered may be gone already.
                    Action::SessionAccept => !down.open && down.asked.is_some(),
                    _ => offered.any(|got| got.is_in(answer)),
                }
        });
        down.ok_or_else(|| out_of_order("nothing of this is to be accepted"))
    }
}

impl Down {
    /// Contents that were offered are not wanted.
    fn decline(&mut self, which: impl Fn(&Got) -> bool) {
        for got in &mut self.contents {
            if got.progress == Progress::Offered && which(got) {
                got.progress = Progress::Declined;
            }
        }
    }

    /// The header extensions that it has, as it was accepted.
    fn extensions(&self, accepted: &[Content], reports: bool) -> Vec<(u8, String)> {
        let offered = self.contents.iter().map(|got| &got.offered);
        negotiate::own_extensions(offered, accepted, reports)
    }

    /// The client has told its side.
    fn begin(
        &mut self,
        conference: ConferenceId,
        side: Side,
        payloads: Vec<Payload>,
        extensions: Vec<(u8, String)>,
        outputs: Vec<OutputSpec>,
    ) -> Command {
        self.open = true;
        Command::Open(Box::new(LegSpec {
            leg: self.leg,
            conference,
            local: self.local.clone(),
            remote: side.credentials,
            fingerprint: side.fingerprint,
            dtls_client: side.setup == Setup::Passive,
            controlling: true,
            payloads,
            extensions,
            tracks: Vec::new(),
            outputs,
            data: Data::Off,
        }))
    }
}

impl Got {
    pub(super) fn is_in(&self, jingle: &Jingle) -> bool {
        self.content(&jingle.contents).is_some()
    }

    fn content<'a>(&self, contents: &'a [Content]) -> Option<&'a Content> {
        contents.iter().find(|content| content.name == self.offered.mid.as_str())
    }

    /// What the engine sends of it when it was accepted.
    fn take(&mut self, jingle: &Jingle) -> Option<OutputSpec> {
        let content = self.content(&jingle.contents)?;
        self.progress = Progress::Declined;
        // Who accepts without a description takes all as it is.
        let theirs = match &content.description {
            Some(description) => negotiate::mapping(&self.offered, description),
            None => negotiate::mapping(&self.offered, &negotiate::answer(&self.offered)),
        };
        let payloads: Vec<(u8, u8)> = self
            .numbers
            .iter()
            .filter_map(|(sender, ours)| {
                let (_, theirs) = theirs.iter().find(|(known, _)| known == ours)?;
                Some((*sender, *theirs))
            })
            .collect();
        if payloads.is_empty() || content.senders == Some(Senders::None) {
            return None;
        }
        self.progress = Progress::Sent;
        Some(OutputSpec {
            track: self.track,
            mid: self.offered.mid.clone(),
            media: self.offered.media,
            source: self.source,
            rtx: self.rtx,
            payloads,
        })
    }
}

/// The payload types of a transport as the receiver calls them.
fn spoken(down: &Down, accepted: &[Content]) -> Vec<Payload> {
    let mut all: Vec<Payload> = Vec::new();
    for got in &down.contents {
        let description = got.content(accepted).and_then(|content| content.description.as_ref());
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
