//! Whom nobody here talks to, by lists of the operator, and who is kept from rooms and strangers, by
//! lists of others (as xmppbl.org has them: XEP-0060 nodes whose items are what is listed).

mod feed;
mod follow;
mod policy;
mod sweep;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, OnceCell};
use wello_kernel::Kernel;
use wello_kernel::blocklist::Rules;
use wello_kernel::config::Config;
use wello_kernel::hooks::{Chore, Flow, Guard};
use wello_kernel::module::{Module, Registrar, Spec};
use wello_store::{BlockFeed, Role, StoreError};
use wello_wire::error::StanzaError;
use wello_wire::jid::Jid;
use wello_wire::ns;
use wello_wire::stanza::{Kind, Stanza};

use feed::{Change, Feed, Subject};
use policy::Concern;

use crate::muc::Muc;

pub struct Blocklists {
    feeds: Vec<Feed>,
    /// Whom no feed counts for.
    except: Rules,
    muc: Arc<Muc>,
    /// A feed lists more than before.
    grown: Notify,
    /// Done when what was known before a restart is back.
    restored: OnceCell<()>,
    /// Seconds until a feed has to be read.
    rest: AtomicU64,
}

/// How often the operator's files are looked at.
const LOOK: Duration = Duration::from_secs(60);

impl Blocklists {
    /// `None` when nothing is configured: then nobody need be looked up.
    pub(crate) fn new(config: &Config, muc: Arc<Muc>) -> Option<Blocklists> {
        let config = &config.blocklists;
        let is_wanted = !config.files.is_empty() || !config.feeds.is_empty();
        is_wanted.then(|| Blocklists {
            feeds: config.feeds.iter().filter_map(Feed::new).collect(),
            except: config.except.iter().map(String::as_str).collect(),
            muc,
            grown: Notify::new(),
            restored: OnceCell::new(),
            rest: AtomicU64::default(),
        })
    }
}

impl Module for Blocklists {
    fn name(&self) -> &'static str {
        "blocklists"
    }

    fn specs(&self) -> &'static [Spec] {
        &[]
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.guard(Arc::clone(&self) as _);
        registrar.chore(Arc::new(ReadFiles));
        registrar.chore(Arc::new(Sweep(Arc::clone(&self))));
        registrar.chore(self);
    }
}

#[async_trait]
impl Guard for Blocklists {
    async fn guard(&self, kernel: &Arc<Kernel>, stanza: &Stanza) -> Flow {
        let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else { return Flow::Next };
        let rules = kernel.blocklist.rules();
        if [from, to].into_iter().any(|jid| policy::is_blocked(kernel, &rules, jid)) {
            return policy::blocked(kernel, stanza, from);
        }
        if self.feeds.is_empty() {
            return Flow::Next;
        }
        self.verdict(kernel, stanza, from, to).await.unwrap_or_else(|error| {
            tracing::error!(%error, "block lists not read");
            Flow::Refuse(StanzaError::internal_server_error(""))
        })
    }
}

impl Blocklists {
    async fn verdict(
        &self,
        kernel: &Kernel,
        stanza: &Stanza,
        from: &Jid,
        to: &Jid,
    ) -> Result<Flow, StoreError> {
        self.restore(kernel).await?;
        match self.take_notice(kernel, stanza, from, to).await {
            true => Ok(Flow::Handled),
            false => self.judge(kernel, stanza, from, to).await,
        }
    }

    async fn restore(&self, kernel: &Kernel) -> Result<(), StoreError> {
        let restored = self.restored.get_or_try_init(|| async {
            let ids: Vec<BlockFeed> = self.feeds.iter().map(|feed| feed.id.clone()).collect();
            kernel.store.block_feeds.keep_only(&ids).await?;
            for feed in &self.feeds {
                feed.restore(kernel.store.block_feeds.items(&feed.id).await?);
            }
            Ok(())
        });
        restored.await.copied()
    }

    /// Takes what a list tells of its changes; only its own service may.
    async fn take_notice(&self, kernel: &Kernel, stanza: &Stanza, from: &Jid, to: &Jid) -> bool {
        let is_for_us = to.local().is_none() && kernel.hosts.contains(to.domain());
        if stanza.kind != Kind::Message || stanza.is_error() || !is_for_us {
            return false;
        }
        let Some(event) = stanza.child("event", ns::PUBSUB_EVENT) else { return false };
        let mut is_known = false;
        for feed in self.feeds.iter().filter(|feed| feed.service.as_str() == from.as_str()) {
            is_known = true;
            let Some(change) = feed.parse_event(event) else { continue };
            if feed.change(&change) {
                store(kernel, feed, &change).await;
            }
            if !change.added.is_empty() {
                self.grown.notify_one();
            }
        }
        is_known
    }

    async fn judge(
        &self,
        kernel: &Kernel,
        stanza: &Stanza,
        from: &Jid,
        to: &Jid,
    ) -> Result<Flow, StoreError> {
        let Some(concern) = policy::concern(kernel, stanza, from, to) else {
            return Ok(Flow::Next);
        };
        let subjects = policy::subjects(concern, stanza, from);
        let listed = subjects.iter().any(|who| self.is_listed(concern, who));
        if !listed || kernel.role_of(from).await == Some(Role::Admin) {
            return Ok(Flow::Next);
        }
        if concern == Concern::Stranger {
            let entry = kernel.store.roster.entry(to.bare_str(), from.bare_str()).await?;
            if entry.item.is_some() {
                return Ok(Flow::Next);
            }
        }
        tracing::info!(from = from.bare_str(), to = to.bare_str(), ?concern, "listed as spam");
        Ok(Flow::Refuse(policy::refusal(concern)))
    }

    /// Whether a feed that counts for this has somebody on its list.
    fn is_listed(&self, concern: Concern, who: &Jid) -> bool {
        let subject = Subject::new(who);
        let counts = |feed: &&Feed| concern == Concern::Stranger || feed.is_of_addresses();
        !self.except.covers(who)
            && self.feeds.iter().filter(counts).any(|feed| feed.lists(&subject))
    }
}

/// Keeps a change for the time after a restart.
async fn store(kernel: &Kernel, feed: &Feed, change: &Change) {
    let feeds = &kernel.store.block_feeds;
    let stored = match change.cleared {
        true => feeds.replace(&feed.id, &change.added).await,
        false => feeds.change(&feed.id, &change.added, &change.removed).await,
    };
    if let Err(error) = stored {
        tracing::error!(service = %feed.service, %error, "change of a block list not stored");
    }
}

/// Follows the lists of others.
#[async_trait]
impl Chore for Blocklists {
    fn first_run(&self) -> Duration {
        Duration::ZERO
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(self.rest.load(Ordering::Relaxed).max(1))
    }

    async fn run(&self, kernel: &Arc<Kernel>) {
        if let Err(error) = self.restore(kernel).await {
            tracing::error!(%error, "block lists not read");
        }
        for feed in self.feeds.iter().filter(|feed| feed.is_due(kernel.clock.now())) {
            follow::follow(kernel, feed).await;
            self.grown.notify_one();
        }
        let now = kernel.clock.now();
        let rest = self.feeds.iter().map(|feed| feed.rest(now)).min().unwrap_or(LOOK);
        self.rest.store(rest.as_secs(), Ordering::Relaxed);
    }
}

/// Looks whether the operator's files have changed.
struct ReadFiles;

#[async_trait]
impl Chore for ReadFiles {
    fn interval(&self) -> Duration {
        LOOK
    }

    async fn run(&self, kernel: &Arc<Kernel>) {
        let kernel = Arc::clone(kernel);
        let refreshed = tokio::task::spawn_blocking(move || kernel.blocklist.refresh()).await;
        match refreshed {
            Ok(Ok(true)) => tracing::info!("block lists reloaded"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::error!(%error, "block lists kept as they were"),
            Err(error) => tracing::error!(%error, "block lists not reloaded"),
        }
    }
}

/// Puts those out of rooms who get onto a list.
struct Sweep(Arc<Blocklists>);

#[async_trait]
impl Chore for Sweep {
    fn first_run(&self) -> Duration {
        Duration::ZERO
    }

    fn interval(&self) -> Duration {
        Duration::ZERO
    }

    /// Rests until there is a change.
    async fn run(&self, kernel: &Arc<Kernel>) {
        tokio::select! {
            () = self.0.grown.notified() => {}
            () = kernel.blocklist.reloaded() => {}
        }
        self.0.sweep(kernel).await;
    }
}
