//! What an import has done and what it could not do.

use std::collections::BTreeMap;

use anyhow::bail;

use super::importer::Importer;

/// Of each kind of things that are not imported so many are named.
const NAMED: u64 = 10;

#[derive(Default)]
pub(super) struct Counts {
    pub(super) accounts: u64,
    /// Were here before; their password stays.
    pub(super) known: u64,
    pub(super) locked: u64,
    pub(super) sha1_only: u64,
    pub(super) contacts: u64,
    pub(super) requests: u64,
    pub(super) documents: u64,
    pub(super) blocked: u64,
    pub(super) preferences: u64,
    pub(super) invitations: u64,
    pub(super) items: u64,
    pub(super) offline: u64,
    pub(super) archived: u64,
    pub(super) rooms: u64,
    pub(super) known_rooms: u64,
    pub(super) files: u64,
    pub(super) repeated: u64,
    /// By what it was.
    pub(super) skipped: BTreeMap<String, u64>,
    /// Pieces of the source that are broken.
    pub(super) broken: u64,
}

impl Importer<'_> {
    /// Notes that something cannot be imported.
    pub fn skip(&mut self, what: impl Into<String>) {
        let what = what.into();
        let count = self.counts.skipped.get(&what).copied().unwrap_or_default();
        if let Some(current) = &self.current
            && count < NAMED
        {
            eprintln!("{}: not imported: {what}", current.jid);
        }
        self.counts.skipped.insert(what, count + 1);
    }

    /// What of the source could be read. What is broken is told and counted, and the rest comes.
    pub fn read<T>(&mut self, read: anyhow::Result<T>) -> Option<T> {
        match read {
            Ok(read) => Some(read),
            Err(error) => {
                eprintln!("not imported: {error:#}");
                self.counts.broken += 1;
                None
            }
        }
    }

    pub(super) fn progress(&self) {
        let counts = &self.counts;
        let messages = counts.archived + counts.offline;
        eprintln!("{} accounts, {messages} messages so far", counts.accounts + counts.known);
    }

    /// What was done, line by line.
    pub fn report(&self) -> Vec<String> {
        let counts = &self.counts;
        let done = if self.dry_run { "would be imported" } else { "imported" };
        let mut lines = vec![format!(
            "{done}: {} accounts, {} contacts, {} subscription requests, {} documents, {} items, \
             {} blocked addresses, {} archived messages, {} offline messages, {} rooms, {} files, \
             {} archiving preferences, {} invitations",
            counts.accounts,
            counts.contacts,
            counts.requests,
            counts.documents,
            counts.items,
            counts.blocked,
            counts.archived,
            counts.offline,
            counts.rooms,
            counts.files,
            counts.preferences,
            counts.invitations
        )];
        let mut note = |count: u64, what: &str| {
            if count > 0 {
                lines.push(format!("{count} {what}"));
            }
        };
        note(counts.known, "accounts were here before: they keep their password");
        note(counts.known_rooms, "rooms were here before: they keep their settings");
        note(counts.repeated, "contacts, documents, messages and files were here before");
        note(counts.locked, "accounts have no password: give them one with `wello user passwd`");
        note(
            counts.sha1_only,
            "accounts have keys for SCRAM-SHA-1 alone: no stronger SCRAM is offered on their \
             hosts until all of them have logged in with PLAIN or an upgrade (XEP-0480)",
        );
        for (what, count) in &counts.skipped {
            note(*count, &format!("{what}: not imported"));
        }
        lines
    }

    /// What was not done although it should have been.
    pub fn complaint(&self) -> anyhow::Result<()> {
        match self.counts.broken {
            0 => Ok(()),
            count => bail!("{count} pieces could not be read, and all others are imported"),
        }
    }
}
