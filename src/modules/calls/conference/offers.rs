//! What the others send: who is to get what, when it is offered and when it is taken back.

use wello_sfu::api::{Command, LegId, Media, Mid, TrackId};
use wello_wire::jid::FullJid;
use wello_wire::payload::jingle::{
    Condition, Content, Description, Senders, Setup, Source, SourceGroup,
};

use super::super::dialects::{Numbers, Offer, Portion, Withdrawal, content};
use super::super::negotiate::{self, Offered};
use super::{Conference, Dice, Down, Effects, Got, Guest, Person, Progress, Sent, fresh};

/// Contents of one offer; the others wait for its answer, which has to fit into a stanza.
const AT_ONCE: usize = 16;

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
            self.plan(newcomer, &sender, &stream, dice);
        }
        self.ask(newcomer, dice, fx);
    }

    /// What somebody sends, to all others: whatever they were not offered before.
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
            self.plan(&other, sender, stream, dice);
            self.ask(&other, dice, fx);
        }
    }

    /// Finds a transport for what a stream has that the receiver does not know of.
    fn plan(&mut self, to: &FullJid, sender: &FullJid, stream: &str, dice: &mut dyn Dice) {
        let Some(from) = self.people.get(sender).filter(|person| person.guest.voice) else {
            return;
        };
        let Some(up) = from.ups.iter().find(|up| up.stream == stream) else { return };
        let sent = up.contents.iter().filter(|sent| sent.offered.sends);
        let takes = |person: &&Person| !person.adapter().mixes();
        let Some(receiver) = self.people.get(to).filter(takes) else { return };
        let known = |sent: &&Sent| {
            let mut all = receiver.downs.iter().flat_map(|down| &down.contents);
            all.any(|got| got.track == sent.track)
        };
        let new: Vec<Sent> = sent.filter(|sent| !known(sent)).cloned().collect();
        let sender = from.guest.clone();
        let Some(receiver) = self.people.get_mut(to).filter(|_| !new.is_empty()) else { return };
        let place = receiver.down_for(stream, dice);
        for sent in new {
            receiver.wait_for(place, &sent, &sender, stream, dice);
        }
    }

    /// Offers on each transport what waits, unless an answer is awaited there.
    pub(super) fn ask(&mut self, to: &FullJid, dice: &mut dyn Dice, fx: &mut Effects) {
        let Some(person) = self.people.get(to) else { return };
        let due =
            |down: &Down| down.asked.is_none() && down.with(Progress::Waiting).next().is_some();
        let legs = person.downs.iter().filter(|down| due(down)).map(|down| down.leg);
        for leg in legs.collect::<Vec<_>>() {
            self.ask_on(to, leg, dice, fx);
        }
    }

    fn ask_on(&mut self, to: &FullJid, leg: LegId, dice: &mut dyn Dice, fx: &mut Effects) {
        let Some(person) = self.people.get(to) else { return };
        let Some(down) = person.downs.iter().find(|down| down.leg == leg) else { return };
        let waiting: Vec<&Got> = down.with(Progress::Waiting).take(AT_ONCE).collect();
        let told = down.contents.iter().filter(|got| got.was_told());
        let bundle =
            told.chain(waiting.iter().copied()).map(|got| got.offered.mid.as_str().to_owned());
        let reports = person.adapter().reports();
        let offer = Offer {
            focus: &person.called,
            sid: &down.sid,
            is_first: !down.open,
            transport: self.transport(&down.local, Some(Setup::ActPass)),
            contents: waiting.iter().map(|got| offered(got, reports)).collect(),
            bundle: bundle.collect(),
            portions: portions(&person.guest, waiting.iter().copied()),
        };
        let mut asked = None;
        for request in person.adapter().offer(offer) {
            asked = Some(self.request(to, request, dice, fx));
        }
        let downs = self.people.get_mut(to).into_iter().flat_map(|person| &mut person.downs);
        for down in downs.filter(|down| down.leg == leg) {
            down.asked.clone_from(&asked);
            let waiting = down.contents.iter_mut().filter(|got| got.progress == Progress::Waiting);
            waiting.take(AT_ONCE).for_each(|got| got.progress = Progress::Offered);
        }
    }

    /// Takes what is sent no more from those who get it.
    pub(super) fn withdraw(&mut self, tracks: &[TrackId], dice: &mut dyn Dice, fx: &mut Effects) {
        let mut withdrawn: Vec<(FullJid, Vec<Gone>)> = Vec::new();
        for (jid, person) in &mut self.people {
            withdrawn.push((jid.clone(), person.give_up(tracks, fx)));
        }
        for (jid, gone) in withdrawn {
            for gone in &gone {
                self.tell_gone(&jid, gone, dice, fx);
            }
            self.ask(&jid, dice, fx);
        }
    }

    pub(super) fn tell_gone(
        &self,
        jid: &FullJid,
        gone: &Gone,
        dice: &mut dyn Dice,
        fx: &mut Effects,
    ) {
        let Some(person) = self.people.get(jid) else { return };
        let told = gone.contents.iter().filter(|got| got.was_told());
        let withdrawal = Withdrawal {
            sid: &gone.sid,
            portions: portions(&person.guest, told),
            is_last: gone.is_last,
            open: gone.open,
            why: gone.why,
        };
        for request in person.adapter().withdraw(withdrawal) {
            self.request(jid, request, dice, fx);
        }
    }
}

/// What was taken from a transport.
pub(super) struct Gone {
    sid: String,
    open: bool,
    is_last: bool,
    /// What has gone wrong, if anything has.
    why: Option<Condition>,
    contents: Vec<Got>,
}

impl Gone {
    /// All of a transport over which nothing passes.
    pub(super) fn lost(down: Down, why: Condition) -> Gone {
        let Down { sid, open, contents, .. } = down;
        Gone { sid, open, is_last: true, why: Some(why), contents }
    }
}

impl Person {
    /// The place of the transport for a stream.
    fn down_for(&mut self, stream: &str, dice: &mut dyn Dice) -> usize {
        let adapter = self.adapter();
        // Who stays in one session gets a transport by each offer, which names one participant.
        let is_its = |got: &Got| got.stream == stream;
        let fits = |down: &Down| match adapter.stays_home() {
            true => !down.open && down.asked.is_none() && down.contents.iter().all(is_its),
            false => adapter.gathers() || down.contents.iter().any(is_its),
        };
        if let Some(place) = self.downs.iter().position(fits) {
            return place;
        }
        let sid = if adapter.stays_home() { self.home().to_owned() } else { dice.name() };
        self.downs.push(Down {
            sid,
            leg: LegId(dice.id()),
            local: fresh(dice),
            open: false,
            asked: None,
            numbers: Numbers::default(),
            contents: Vec::new(),
            free: Vec::new(),
        });
        self.downs.len() - 1
    }

    fn wait_for(
        &mut self,
        place: usize,
        sent: &Sent,
        sender: &Guest,
        stream: &str,
        dice: &mut dyn Dice,
    ) {
        let adapter = self.adapter();
        self.offered += 1;
        let count = self.offered;
        let Some(down) = self.downs.get_mut(place) else { return };
        let name = down.free_name(sent.offered.media);
        let theirs = &sent.offered.payloads;
        let (payloads, numbers) = match adapter.gathers() {
            true => down.numbers.translate(sent.offered.media, theirs),
            false => (theirs.clone(), same(sent)),
        };
        let rtx = negotiate::engine_payloads(sent.offered.media, &payloads)
            .iter()
            .any(|payload| payload.rtx.is_some());
        down.contents.push(Got {
            track: sent.track,
            sender: sender.clone(),
            stream: stream.to_owned(),
            origin: sent.offered.mid.clone(),
            offered: Offered {
                mid: name.unwrap_or_else(|| adapter.name(&sent.offered.mid, count)),
                payloads,
                ..sent.offered.clone()
            },
            numbers,
            source: dice.number(),
            rtx: rtx.then(|| dice.number()),
            progress: Progress::Waiting,
        });
    }

    /// Lets go of tracks, and of the transports that are of no use any more.
    fn give_up(&mut self, tracks: &[TrackId], fx: &mut Effects) -> Vec<Gone> {
        let adapter = self.adapter();
        let mut all = Vec::new();
        self.downs.retain_mut(|down| {
            let gone = down.take(tracks);
            // The offer of a session is answered all the same, whatever is left of it.
            if down.open || adapter.stays_home() {
                down.settle();
            }
            let is_last = down.is_empty();
            let is_over = is_last && !(adapter.lingers() && down.open);
            if gone.is_empty() {
                return true;
            }
            if adapter.names_again() {
                // What was not accepted may be yet: its name would be taken for the other's.
                let got = gone.iter().filter(|got| got.progress == Progress::Sent);
                down.free.extend(got.map(|got| (got.offered.media, got.offered.mid.clone())));
            }
            match is_over {
                true => fx.media.extend(down.close()),
                false => fx.media.extend(gone.iter().filter_map(|got| down.stop(got))),
            }
            let (sid, open) = (down.sid.clone(), down.open);
            all.push(Gone { sid, open, is_last, why: None, contents: gone });
            !is_over
        });
        all
    }
}

impl Down {
    fn take(&mut self, tracks: &[TrackId]) -> Vec<Got> {
        let (gone, left) = std::mem::take(&mut self.contents)
            .into_iter()
            .partition(|got| tracks.contains(&got.track));
        self.contents = left;
        gone
    }

    /// A name that stands for nothing any more.
    fn free_name(&mut self, media: Media) -> Option<Mid> {
        let place = self.free.iter().position(|(of, _)| *of == media)?;
        Some(self.free.remove(place).1)
    }

    /// There may be nothing left to be answered.
    pub(super) fn settle(&mut self) {
        if self.with(Progress::Offered).next().is_none() {
            self.asked = None;
        }
    }

    /// The engine has it only when it was accepted.
    pub(super) fn close(&self) -> Option<Command> {
        self.open.then_some(Command::Close { leg: self.leg })
    }

    fn stop(&self, got: &Got) -> Option<Command> {
        let mid = got.offered.mid.clone();
        (got.progress == Progress::Sent).then_some(Command::RemoveOutput { leg: self.leg, mid })
    }
}

impl Got {
    fn was_told(&self) -> bool {
        matches!(self.progress, Progress::Offered | Progress::Sent)
    }
}

/// Contents by whose they are.
pub(super) fn portions<'a>(
    receiver: &'a Guest,
    contents: impl Iterator<Item = &'a Got>,
) -> Vec<Portion<'a>> {
    let mut portions: Vec<Portion<'a>> = Vec::new();
    for got in contents {
        let name = got.offered.mid.as_str().to_owned();
        match portions.iter_mut().find(|portion| portion.stream == got.stream) {
            Some(portion) => portion.names.push(name),
            None => portions.push(Portion {
                sender: &got.sender,
                receiver,
                stream: &got.stream,
                names: vec![name],
            }),
        }
    }
    portions
}

/// Numbers that stay as they are.
fn same(sent: &Sent) -> Vec<(u8, u8)> {
    let payloads = negotiate::engine_payloads(sent.offered.media, &sent.offered.payloads);
    payloads.iter().map(|payload| (payload.pt, payload.pt)).collect()
}

/// A content as the focus offers it.
fn offered(got: &Got, reports: bool) -> Content {
    let mut description: Description = negotiate::passed_on(&got.offered, reports);
    let stream = &got.stream;
    let parameters = vec![
        ("cname".to_owned(), stream.clone()),
        ("msid".to_owned(), format!("{stream} {stream}-{}", got.origin.as_str())),
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
        ..content(got.offered.mid.as_str())
    }
}
