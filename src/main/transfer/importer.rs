//! Puts what an import finds into the store. What is there already stays as it is, so that an
//! import may be repeated.

use std::collections::BTreeMap;
use std::hash::RandomState;

use anyhow::{Context, bail};
use bytes::Bytes;
use wello_kernel::accounts::{Passwords, account_address};
use wello_kernel::clock::Clock;
use wello_kernel::config::Config;
use wello_store::{
    AccountStatus, Creation, Credentials, DocumentKey, NewAccount, Role, RosterItem, RosterUpdate,
    ScramKeys, Store, SubscriptionRequest, Timestamp,
};
use wello_stream::sasl::ScramHash;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::stanza::{Kind, Stanza};
use wello_wire::xml::Element;

use super::messages::Messages;

/// Accounts after which the operator hears that it goes on.
const PROGRESS: u64 = 500;

pub struct Importer<'a> {
    pub(super) config: &'a Config,
    pub(super) store: &'a Store,
    passwords: Passwords,
    pub(super) hasher: RandomState,
    pub(super) counts: Counts,
    pub(super) account: Option<Current>,
}

#[derive(Default)]
pub(super) struct Counts {
    accounts: u64,
    /// Were here before; their password stays.
    known: u64,
    locked: u64,
    sha1_only: u64,
    contacts: u64,
    requests: u64,
    documents: u64,
    blocked: u64,
    pub(super) items: u64,
    pub(super) offline: u64,
    pub(super) archived: u64,
    pub(super) repeated: u64,
    /// By what it was.
    skipped: BTreeMap<String, u64>,
}

/// The account that is being imported.
pub(super) struct Current {
    jid: BareJid,
    credentials: Credentials,
    password: Option<String>,
    profile: Profile,
    pub(super) messages: Messages,
}

/// What an account is besides its data.
#[derive(Default)]
pub struct Profile {
    pub role: Role,
    pub status: AccountStatus,
    pub created: Option<Timestamp>,
    pub display_name: Option<String>,
    pub email: Option<String>,
}

/// A host that is not served gets no accounts: nobody could log in to them.
pub fn check_host(config: &Config, host: &str) -> anyhow::Result<()> {
    if config.domains().contains(&host) {
        return Ok(());
    }
    let hosts = config.domains().join(", ");
    bail!("{host} is not served here: add it to `hosts` in the configuration (now: {hosts})")
}

impl<'a> Importer<'a> {
    pub fn new(config: &'a Config, store: &'a Store) -> Importer<'a> {
        Importer {
            config,
            store,
            passwords: Passwords::new(config.auth.scram_iterations),
            hasher: RandomState::new(),
            counts: Counts::default(),
            account: None,
        }
    }

    pub fn check_host(&self, host: &str) -> anyhow::Result<()> {
        check_host(self.config, host)
    }

    /// Begins an account; `false` when its name cannot be one.
    pub fn begin(&mut self, name: &str, host: &str) -> bool {
        let Ok(jid) = account_address(&format!("{name}@{host}")) else {
            self.skip("accounts whose name is not allowed");
            return false;
        };
        self.account = Some(Current {
            jid,
            credentials: Credentials::default(),
            password: None,
            profile: Profile::default(),
            messages: Messages::new(self.store.archive_ids.of_the_past()),
        });
        true
    }

    /// Notes that something cannot be imported.
    pub fn skip(&mut self, what: impl Into<String>) {
        *self.counts.skipped.entry(what.into()).or_default() += 1;
    }

    pub fn password(&mut self, password: &str) {
        if let Some(account) = &mut self.account {
            account.password = Some(password.to_owned()).filter(|password| !password.is_empty());
        }
    }

    /// Keys of one SCRAM mechanism, when they can be used.
    pub fn scram(&mut self, keys: ScramKeys) {
        let hash = ScramHash::ALL.into_iter().find(|hash| hash.mechanism_name() == keys.mechanism);
        let usable = hash.is_some_and(|hash| {
            let (stored, server) = (&keys.stored_key, &keys.server_key);
            wello_stream::sasl::ScramKeys::from_keys(
                hash,
                &keys.salt,
                keys.iterations,
                stored,
                server,
            )
            .is_ok()
        });
        match &mut self.account {
            Some(account) if usable => {
                let scram = &mut account.credentials.scram;
                scram.retain(|other| other.mechanism != keys.mechanism);
                scram.push(keys);
            }
            _ => self.skip("SCRAM keys that no client could use"),
        }
    }

    pub fn profile(&mut self, profile: Profile) {
        if let Some(account) = &mut self.account {
            account.profile = profile;
        }
    }

    pub async fn contact(&mut self, item: RosterItem) -> anyhow::Result<()> {
        let account = self.jid()?;
        let rosters = &self.store.roster;
        let entry = rosters.entry(&account, &item.jid).await?;
        if entry.item.is_some() {
            self.counts.repeated += 1;
            return Ok(());
        }
        match rosters.set(&account, &item, entry.version).await? {
            RosterUpdate::Stored(_) => self.counts.contacts += 1,
            // The running server was faster; what it wrote is newer.
            RosterUpdate::Conflict => self.counts.repeated += 1,
        }
        Ok(())
    }

    /// A `<presence type='subscribe'/>` that waits for an answer.
    pub async fn request(&mut self, presence: Element) -> anyhow::Result<()> {
        let account = self.jid()?;
        let stanza = Stanza::from_element(presence).ok();
        let stanza = stanza.filter(|stanza| stanza.kind == Kind::Presence);
        let Some((stanza, from)) = stanza.and_then(|stanza| {
            let from = stanza.from.as_ref()?.bare_str().to_owned();
            Some((stanza, from))
        }) else {
            self.skip("subscription requests that are no stanzas");
            return Ok(());
        };
        let to: Jid = account.parse()?;
        let stanza = Bytes::from(stanza.with_to(to).to_bytes());
        let known = self.store.roster.requests(&account).await?;
        if known.iter().any(|request| request.contact == from) {
            self.counts.repeated += 1;
            return Ok(());
        }
        let request = SubscriptionRequest { contact: from, stanza };
        self.store.roster.add_request(&account, &request).await?;
        self.counts.requests += 1;
        Ok(())
    }

    pub async fn document(&mut self, key: DocumentKey, xml: &Element) -> anyhow::Result<()> {
        let account = self.jid()?;
        if self.store.documents.get(&account, &key).await?.is_some() {
            self.counts.repeated += 1;
            return Ok(());
        }
        let Some(xml) = readable(xml.to_string().into_bytes()) else {
            self.skip("documents that are too large");
            return Ok(());
        };
        self.store.documents.set(&account, &key, &xml).await?;
        self.counts.documents += 1;
        Ok(())
    }

    pub async fn block<'j>(&mut self, jids: impl Iterator<Item = &'j str>) -> anyhow::Result<()> {
        let account = self.jid()?;
        let jids: Vec<String> =
            jids.filter_map(|jid| Some(jid.parse::<Jid>().ok()?.to_string())).collect();
        let added = self.store.blocking.add(&account, &jids).await?;
        self.counts.blocked += added;
        self.counts.repeated += jids.len() as u64 - added;
        Ok(())
    }

    /// Ends the account: its messages are on the disk, and it can log in.
    pub async fn end(&mut self) -> anyhow::Result<()> {
        let Some(mut account) = self.account.take() else { return Ok(()) };
        account.messages.settle().await?;
        let jid = account.jid.to_string();
        if self.store.accounts.find(&jid).await?.is_some() {
            self.counts.known += 1;
            return Ok(());
        }
        if let Some(password) = &account.password {
            match self.passwords.derive(password).await {
                Ok(credentials) => account.credentials = credentials,
                Err(_) => self.skip("passwords that no client could use"),
            }
        }
        self.count_credentials(&account.credentials);
        let profile = account.profile;
        let new = NewAccount {
            jid,
            role: profile.role,
            status: profile.status,
            created: profile.created.unwrap_or_else(|| Clock::System.now()),
            display_name: profile.display_name,
            email: profile.email,
            credentials: account.credentials,
            // The operator knows that it is the same person.
            reuse: true,
            ..NewAccount::default()
        };
        match self.store.accounts.create(&new).await? {
            Creation::Created(_) => self.counts.accounts += 1,
            Creation::Exists | Creation::Tombstoned | Creation::LookAlike => self.counts.known += 1,
        }
        if (self.counts.accounts + self.counts.known).is_multiple_of(PROGRESS) {
            self.progress();
        }
        Ok(())
    }

    fn count_credentials(&mut self, credentials: &Credentials) {
        let only_sha1 = |keys: &ScramKeys| keys.mechanism == ScramHash::Sha1.mechanism_name();
        if credentials.scram.is_empty() {
            self.counts.locked += 1;
        } else if credentials.scram.iter().all(only_sha1) {
            self.counts.sha1_only += 1;
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
        let mut lines = vec![format!(
            "imported: {} accounts, {} contacts, {} subscription requests, {} documents, {} items, \
             {} blocked addresses, {} archived messages, {} offline messages",
            counts.accounts,
            counts.contacts,
            counts.requests,
            counts.documents,
            counts.items,
            counts.blocked,
            counts.archived,
            counts.offline
        )];
        let mut note = |count: u64, what: &str| {
            if count > 0 {
                lines.push(format!("{count} {what}"));
            }
        };
        note(counts.known, "accounts were here before: they keep their password");
        note(counts.repeated, "contacts, documents and messages were here before");
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

    pub(super) fn jid(&self) -> anyhow::Result<String> {
        Ok(self.account.as_ref().context("no account")?.jid.to_string())
    }
}

/// What is stored must be within the limits of what is read again.
pub(super) fn readable(xml: Vec<u8>) -> Option<Bytes> {
    let text = str::from_utf8(&xml).ok()?;
    text.parse::<Element>().ok()?;
    Some(Bytes::from(xml))
}
