//! Puts what an import finds into the store. What is there already stays as it is, so that an
//! import may be repeated.

use std::collections::BTreeSet;
use std::hash::RandomState;

use anyhow::{Context, bail};
use bytes::Bytes;
use wello_kernel::accounts::{Passwords, account_address};
use wello_kernel::clock::Clock;
use wello_kernel::config::Config;
use wello_kernel::files::Files;
use wello_store::{
    AccountStatus, ArchivePrefs, Creation, Credentials, DocumentKey, Invite, LastActivity,
    NewAccount, Role, RosterItem, RosterUpdate, ScramKeys, Store, SubscriptionRequest, Timestamp,
};
use wello_stream::sasl::ScramHash;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::stanza::{Kind, Stanza};
use wello_wire::xml::Element;

use super::messages::Messages;
use super::report::Counts;
use super::rooms::RoomParts;

/// Accounts after which the operator hears that it goes on.
const PROGRESS: u64 = 500;

pub struct Importer<'a> {
    pub(super) config: &'a Config,
    pub(super) store: &'a Store,
    pub(super) files: Files,
    pub(super) passwords: Passwords,
    pub(super) hasher: RandomState,
    /// Only says what would be done.
    pub(super) dry_run: bool,
    pub(super) counts: Counts,
    /// All that have come or were here.
    pub(super) accounts: BTreeSet<BareJid>,
    pub(super) current: Option<Current>,
}

/// What is being imported.
pub(super) struct Current {
    pub(super) jid: BareJid,
    what: What,
    pub(super) messages: Messages,
}

enum What {
    Account(Box<AccountParts>),
    Room(Box<RoomParts>),
    /// Nodes of a PubSub service.
    Service,
}

#[derive(Default)]
struct AccountParts {
    credentials: Credentials,
    password: Option<String>,
    profile: Profile,
}

impl Current {
    pub(super) fn is_room(&self) -> bool {
        matches!(self.what, What::Room(_))
    }
}

/// What an account is besides its data.
#[derive(Default)]
pub struct Profile {
    /// When it was last online.
    pub last: Option<LastActivity>,
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
    pub fn new(
        config: &'a Config,
        store: &'a Store,
        dry_run: bool,
    ) -> anyhow::Result<Importer<'a>> {
        Ok(Importer {
            config,
            store,
            files: Files::open(config, store, Clock::System)?,
            passwords: Passwords::new(config.auth.scram_iterations),
            hasher: RandomState::new(),
            dry_run,
            counts: Counts::default(),
            accounts: BTreeSet::new(),
            current: None,
        })
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
        self.set_current(jid, What::Account(Box::default()));
        true
    }

    /// Begins a room of this address, which is one of ours.
    pub(super) fn begin_room_at(&mut self, jid: BareJid) {
        self.set_current(jid, What::Room(Box::default()));
    }

    /// Begins the nodes of a PubSub service of this address, which is one of ours.
    pub(super) fn begin_service_at(&mut self, jid: BareJid) {
        self.set_current(jid, What::Service);
    }

    pub(super) fn is_at_service(&self) -> bool {
        self.current.as_ref().is_some_and(|current| matches!(current.what, What::Service))
    }

    fn set_current(&mut self, jid: BareJid, what: What) {
        let messages = Messages::new(self.store.archive_ids.of_the_past());
        self.current = Some(Current { jid, what, messages });
    }

    /// Whose data comes.
    pub(super) fn current(&mut self) -> anyhow::Result<&mut Current> {
        self.current.as_mut().context("nothing has begun")
    }

    fn account(&mut self) -> Option<&mut AccountParts> {
        match &mut self.current.as_mut()?.what {
            What::Account(parts) => Some(parts),
            What::Room(_) | What::Service => None,
        }
    }

    pub fn room(&mut self) -> Option<&mut RoomParts> {
        match &mut self.current.as_mut()?.what {
            What::Room(parts) => Some(parts),
            What::Account(_) | What::Service => None,
        }
    }

    pub fn password(&mut self, password: &str) {
        if let Some(account) = self.account() {
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
        match self.account() {
            Some(account) if usable => {
                let scram = &mut account.credentials.scram;
                scram.retain(|other| other.mechanism != keys.mechanism);
                scram.push(keys);
            }
            _ => self.skip("SCRAM keys that no client could use"),
        }
    }

    /// What the account is; changed by what is known of it so far.
    pub fn profile(&mut self, change: impl FnOnce(&mut Profile)) {
        if let Some(account) = self.account() {
            change(&mut account.profile);
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
        if self.dry_run {
            self.counts.contacts += 1;
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
        if !self.dry_run {
            self.store.roster.add_request(&account, &request).await?;
        }
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
        if !self.dry_run {
            self.store.documents.set(&account, &key, &xml).await?;
        }
        self.counts.documents += 1;
        Ok(())
    }

    pub async fn block<'j>(&mut self, jids: impl Iterator<Item = &'j str>) -> anyhow::Result<()> {
        let account = self.jid()?;
        let jids: Vec<String> =
            jids.filter_map(|jid| Some(jid.parse::<Jid>().ok()?.to_string())).collect();
        let added = match self.dry_run {
            true => {
                let known = self.store.blocking.list(&account).await?;
                jids.iter().filter(|jid| !known.contains(jid)).count() as u64
            }
            false => self.store.blocking.add(&account, &jids).await?,
        };
        self.counts.blocked += added;
        self.counts.repeated += jids.len() as u64 - added;
        Ok(())
    }

    /// Which messages the archive takes (XEP-0441).
    pub async fn preferences(&mut self, prefs: &ArchivePrefs) -> anyhow::Result<()> {
        let account = self.jid()?;
        if self.store.archive.prefs(&account).await?.is_some() {
            self.counts.repeated += 1;
            return Ok(());
        }
        if !self.dry_run {
            self.store.archive.set_prefs(&account, prefs).await?;
        }
        self.counts.preferences += 1;
        Ok(())
    }

    pub async fn invitation(&mut self, invite: &Invite) -> anyhow::Result<()> {
        if self.store.invites.find(&invite.token).await?.is_some() {
            self.counts.repeated += 1;
            return Ok(());
        }
        if !self.dry_run {
            self.store.invites.create(invite).await?;
        }
        self.counts.invitations += 1;
        Ok(())
    }

    /// Ends the account, room or service: its messages are on the disk, and it can be used.
    pub async fn end(&mut self) -> anyhow::Result<()> {
        self.settle().await?;
        let Some(Current { jid, what, .. }) = self.current.take() else { return Ok(()) };
        match what {
            What::Account(account) => self.create_account(jid, *account).await,
            What::Room(room) => self.create_room(&jid, *room).await,
            What::Service => Ok(()),
        }
    }

    /// Leaves the account or room, to which more may come later.
    pub async fn leave(&mut self) -> anyhow::Result<()> {
        self.settle().await?;
        self.current = None;
        Ok(())
    }

    async fn settle(&mut self) -> anyhow::Result<()> {
        match &mut self.current {
            Some(current) => current.messages.settle().await,
            None => Ok(()),
        }
    }

    async fn create_account(
        &mut self,
        jid: BareJid,
        mut account: AccountParts,
    ) -> anyhow::Result<()> {
        self.accounts.insert(jid.clone());
        let jid = jid.to_string();
        if self.store.accounts.find(&jid).await?.is_some() {
            self.counts.known += 1;
            return Ok(());
        }
        if let Some(password) = account.password.as_deref().filter(|_| !self.dry_run) {
            match self.passwords.derive(password).await {
                Ok(credentials) => account.credentials = credentials,
                Err(_) => self.skip("passwords that no client could use"),
            }
        }
        if account.password.is_none() || !self.dry_run {
            self.count_credentials(&account.credentials);
        }
        let profile = account.profile;
        if self.dry_run {
            self.counts.accounts += 1;
            return Ok(());
        }
        if let Some(last) = &profile.last
            && self.store.last.get(&jid).await?.is_none()
        {
            self.store.last.set(&jid, last).await?;
        }
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

    pub(super) fn jid(&self) -> anyhow::Result<String> {
        Ok(self.current.as_ref().context("nothing has begun")?.jid.to_string())
    }
}

/// What is stored must be within the limits of what is read again.
pub(super) fn readable(xml: Vec<u8>) -> Option<Bytes> {
    let text = str::from_utf8(&xml).ok()?;
    text.parse::<Element>().ok()?;
    Some(Bytes::from(xml))
}
