//! Messages that an import finds, each taken once however often the import is repeated.

use std::collections::HashSet;
use std::hash::BuildHasher;

use anyhow::Context;
use wello_store::{Anchor, ArchiveId, ArchiveIds, Entry, Owner, Query, Ticket, Timestamp};
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::stanza_id::StanzaId;
use wello_wire::stanza::{Kind, Stanza};
use wello_wire::xml::Element;

use super::importer::{Importer, readable};

/// Messages on their way to the disk before the import waits for them.
const PENDING: usize = 256;
/// Messages looked at in one go.
const PAGE: u32 = 500;
/// Messages after which the operator hears that it goes on.
const PROGRESS: u64 = 10_000;
/// A message's id says when it was archived. One that is further off than this is not ours.
const ID_ERROR_MICROS: u64 = 24 * 3600 * 1_000_000;

/// The messages of the account that is being imported. What was there before is read when the first
/// one comes.
pub(super) struct Messages {
    ids: ArchiveIds,
    archive: Option<Known>,
    offline: Option<HashSet<u64>>,
    pending: Vec<Ticket>,
}

/// What is in an archive already.
#[derive(Default)]
struct Known {
    ids: HashSet<ArchiveId>,
    messages: HashSet<u64>,
    last: Option<ArchiveId>,
}

/// A message as it is to be stored.
struct Message {
    stanza: Stanza,
    entry: Entry,
    /// Of what makes it the same as another one.
    hash: u64,
}

impl Messages {
    pub(super) fn new(ids: ArchiveIds) -> Messages {
        Messages { ids, archive: None, offline: None, pending: Vec::new() }
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
        let Some(Message { mut entry, hash, .. }) = self.message(message, time, &jid) else {
            return Ok(());
        };
        if self.messages()?.offline.is_none() {
            self.messages()?.offline = Some(self.known_offline(&jid).await?);
        }
        if self.messages()?.offline.as_mut().is_some_and(|known| !known.insert(hash)) {
            self.counts.repeated += 1;
            return Ok(());
        }
        entry.offline_for = Some(jid);
        self.counts.offline += 1;
        self.append(entry).await
    }

    /// A message of the account's archive. They come in the order of time; `id` is the one that
    /// the archive they come from knew it by.
    pub async fn archived(
        &mut self,
        message: Element,
        time: Timestamp,
        id: Option<&str>,
    ) -> anyhow::Result<()> {
        let jid = self.jid()?;
        let Some(Message { stanza, mut entry, hash }) = self.message(message, time, &jid) else {
            return Ok(());
        };
        if self.messages()?.archive.is_none() {
            self.messages()?.archive = Some(self.known_archive(&jid).await?);
        }
        let messages = self.messages()?;
        let known = messages.archive.get_or_insert_default();
        if !known.messages.insert(hash) {
            self.counts.repeated += 1;
            return Ok(());
        }
        let archive_id = known.id(&messages.ids, time, id);
        let other = |jid: &Option<Jid>| jid.as_ref().map(|jid| jid.bare_str().to_owned());
        let (from, to) = (other(&stanza.from), other(&stanza.to));
        let with = if from.as_deref() == Some(jid.as_str()) { to } else { from };
        entry.text = wello_modules::searchable_text(&stanza);
        entry.owners = vec![Owner { owner: jid, archive_id, with: with.unwrap_or_default() }];
        self.counts.archived += 1;
        if self.counts.archived.is_multiple_of(PROGRESS) {
            self.progress();
        }
        self.append(entry).await
    }

    /// `None`, and counted, when it cannot be stored.
    fn message(&mut self, message: Element, time: Timestamp, account: &str) -> Option<Message> {
        let Some(stanza) = message_of(message, account) else {
            self.skip("messages that are no stanzas");
            return None;
        };
        let Some(entry) = entry_of(&stanza, time) else {
            self.skip("messages that are too large");
            return None;
        };
        let hash = self.hasher.hash_one((time.as_micros(), &entry.stanza[..]));
        Some(Message { stanza, entry, hash })
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

    async fn known_archive(&self, jid: &str) -> anyhow::Result<Known> {
        let mut known = Known::default();
        let mut anchor = Anchor::First;
        loop {
            let query = Query { owner: jid.to_owned(), anchor, max: PAGE, ..Query::default() };
            let page = self.store.archive.query(&query).await?;
            for message in &page.messages {
                known.ids.insert(message.id);
                let whole = (message.time.as_micros(), &message.stanza[..]);
                known.messages.insert(self.hasher.hash_one(whole));
            }
            match page.last() {
                Some(last) if !page.complete => anchor = Anchor::After(last),
                _ => return Ok(known),
            }
        }
    }

    async fn append(&mut self, entry: Entry) -> anyhow::Result<()> {
        let ticket = self.store.archive.append(entry).await?;
        let messages = self.messages()?;
        messages.pending.push(ticket);
        if messages.pending.len() >= PENDING {
            messages.settle().await?;
        }
        Ok(())
    }

    fn messages(&mut self) -> anyhow::Result<&mut Messages> {
        Ok(&mut self.account.as_mut().context("no account")?.messages)
    }
}

impl Known {
    /// The id that the message had if it came from a Wello, so that clients find their place
    /// again; else a new one.
    fn id(&mut self, ids: &ArchiveIds, time: Timestamp, id: Option<&str>) -> ArchiveId {
        let own = id.and_then(|id| id.parse::<ArchiveId>().ok());
        let fits = |id: &ArchiveId| {
            id.time().as_micros().abs_diff(time.as_micros()) < ID_ERROR_MICROS
                && self.last.is_none_or(|last| *id > last)
                && !self.ids.contains(id)
        };
        let id = own.filter(fits).unwrap_or_else(|| {
            loop {
                let id = ids.next(time);
                if !self.ids.contains(&id) {
                    break id;
                }
            }
        });
        // Ids of the next ones come after it.
        ids.next(id.time());
        self.ids.insert(id);
        self.last = Some(id);
        id
    }
}

/// The message without what its former server added for the account.
fn message_of(mut element: Element, account: &str) -> Option<Stanza> {
    if let Ok(by) = account.parse::<BareJid>() {
        StanzaId::strip(&mut element, &by);
    }
    if element.attr("to").is_none() {
        element.set_attr("to", account);
    }
    let stanza = Stanza::from_element(element).ok()?;
    Some(stanza).filter(|stanza| stanza.kind == Kind::Message && stanza.from.is_some())
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
