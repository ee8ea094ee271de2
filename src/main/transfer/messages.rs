//! Messages that an import finds, each taken once however often the import is repeated.

use std::collections::HashSet;
use std::hash::BuildHasher;

use wello_store::{ArchiveIds, Entry, Owner, Ticket, Timestamp};
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::stanza_id::StanzaId;
use wello_wire::stanza::{Kind, MessageType, Stanza};
use wello_wire::xml::Element;

use super::importer::{Current, Importer, readable};
use super::window::Window;

/// Messages on their way to the disk before the import waits for them.
const PENDING: usize = 256;
/// Messages looked at in one go.
const PAGE: u32 = 500;
/// Messages after which the operator hears that it goes on.
const PROGRESS: u64 = 10_000;

const OLD_MAM: &str = "urn:xmpp:mam:tmp";

/// The messages of the account or room that is being imported. What was there before is read when
/// the first one comes.
pub(super) struct Messages {
    archive: Window,
    offline: Option<HashSet<u64>>,
    pending: Vec<Ticket>,
}

/// A message as it is to be stored.
struct Message {
    stanza: Stanza,
    entry: Entry,
}

impl Messages {
    pub(super) fn new(ids: ArchiveIds) -> Messages {
        Messages { archive: Window::new(ids), offline: None, pending: Vec::new() }
    }

    /// Waits until all of them are on the disk.
    pub(super) async fn settle(&mut self) -> anyhow::Result<()> {
        for ticket in self.pending.drain(..) {
            ticket.wait().await?;
        }
        Ok(())
    }
}

impl Importer<'_> {
    /// A message that waits for the account's next login.
    pub async fn offline(&mut self, message: Element, time: Timestamp) -> anyhow::Result<()> {
        let jid = self.jid()?;
        let Some(Message { mut entry, .. }) = self.message(message, time)? else { return Ok(()) };
        let hash = self.hasher.hash_one((time.as_micros(), &entry.stanza[..]));
        if self.current()?.messages.offline.is_none() {
            self.current()?.messages.offline = Some(self.known_offline(&jid).await?);
        }
        let known = &mut self.current()?.messages.offline;
        if known.as_mut().is_some_and(|known| !known.insert(hash)) {
            self.counts.repeated += 1;
            return Ok(());
        }
        entry.offline_for = Some(jid);
        self.counts.offline += 1;
        self.append(entry).await
    }

    /// A message of the archive, if possible in the order of time; `id` is the one that the archive
    /// they come from knew it by.
    pub async fn archived(
        &mut self,
        message: Element,
        time: Timestamp,
        id: Option<&str>,
    ) -> anyhow::Result<()> {
        let owner = self.jid()?;
        let Some(Message { stanza, mut entry }) = self.message(message, time)? else {
            return Ok(());
        };
        let archive = &self.store.archive;
        let is_room = self.current()?.is_room();
        let window = &mut self.current()?.messages.archive;
        if !window.admit(&**archive, &owner, time, &entry.stanza).await? {
            self.counts.repeated += 1;
            return Ok(());
        }
        let archive_id = window.id(time, id.and_then(|id| id.parse().ok()));
        let with = if is_room { owner.clone() } else { other_side(&stanza, &owner) };
        entry.text = wello_modules::searchable_text(&stanza);
        entry.owners = vec![Owner { owner, archive_id, with }];
        self.counts.archived += 1;
        if self.counts.archived.is_multiple_of(PROGRESS) {
            self.progress();
        }
        self.append(entry).await
    }

    /// `None`, and counted, when it cannot be stored.
    fn message(&mut self, message: Element, time: Timestamp) -> anyhow::Result<Option<Message>> {
        let Some(stanza) = message_of(message, self.current()?) else {
            self.skip("messages that are no stanzas");
            return Ok(None);
        };
        let Some(entry) = entry_of(&stanza, time) else {
            self.skip("messages that are too large");
            return Ok(None);
        };
        Ok(Some(Message { stanza, entry }))
    }

    async fn known_offline(&self, jid: &str) -> anyhow::Result<HashSet<u64>> {
        let mut known = HashSet::new();
        let mut after = None;
        loop {
            let page = self.store.offline.page(jid, after, PAGE).await?;
            for message in &page {
                let whole = (message.time.as_micros(), &message.stanza[..]);
                known.insert(self.hasher.hash_one(whole));
            }
            match page.last() {
                Some(last) => after = Some(last.id),
                None => return Ok(known),
            }
        }
    }

    async fn append(&mut self, entry: Entry) -> anyhow::Result<()> {
        if self.dry_run {
            return Ok(());
        }
        let ticket = self.store.archive.append(entry).await?;
        let messages = &mut self.current()?.messages;
        messages.pending.push(ticket);
        if messages.pending.len() >= PENDING {
            messages.settle().await?;
        }
        Ok(())
    }
}

fn other_side(stanza: &Stanza, owner: &str) -> String {
    let bare = |jid: &Option<Jid>| jid.as_ref().map(|jid| jid.bare_str().to_owned());
    let (from, to) = (bare(&stanza.from), bare(&stanza.to));
    let with = if from.as_deref() == Some(owner) { to } else { from };
    with.unwrap_or_default()
}

/// The message without what its former server added for the owner.
fn message_of(mut element: Element, current: &Current) -> Option<Stanza> {
    let owner: &BareJid = &current.jid;
    StanzaId::strip(&mut element, owner);
    // What came before XEP-0359; ejabberd still adds it.
    element.retain_children(|child| !child.is("archived", OLD_MAM));
    if !current.is_room() && element.attr("to").is_none() {
        element.set_attr("to", owner.as_str());
    }
    let mut stanza = Stanza::from_element(element).ok()?;
    if stanza.kind != Kind::Message {
        return None;
    }
    if current.is_room() {
        if stanza.message_type() != MessageType::Groupchat {
            return None;
        }
        stanza.to = None;
        stanza = said_here(stanza, owner)?;
    }
    stanza.from.is_some().then_some(stanza)
}

/// By the same occupant of a room that may have had another address.
fn said_here(stanza: Stanza, room: &BareJid) -> Option<Stanza> {
    let from = stanza.from.as_ref()?;
    if from.bare_str() == room.as_str() {
        return Some(stanza);
    }
    let moved = match from.resource() {
        Some(nick) => format!("{room}/{nick}").parse::<Jid>().ok()?,
        None => room.clone().into(),
    };
    Some(stanza.with_from(moved))
}

fn entry_of(stanza: &Stanza, time: Timestamp) -> Option<Entry> {
    let address = |jid: &Option<Jid>| jid.as_ref().map(Jid::to_string).unwrap_or_default();
    let origin_id = stanza.child("origin-id", ns::STANZA_ID).and_then(|id| id.attr("id"));
    Some(Entry {
        stanza: readable(stanza.to_bytes())?,
        time,
        from: address(&stanza.from),
        to: address(&stanza.to),
        kind: stanza.message_type().into(),
        message_id: stanza.id.as_ref().map(ToString::to_string),
        origin_id: origin_id.map(str::to_owned),
        ..Entry::default()
    })
}
