//! The heart of the server: routes stanzas, knows the sessions, runs the hooks of the modules.

pub mod accounts;
pub mod audit;
pub mod blocklist;
pub mod bytestreams;
mod chores;
pub mod clock;
pub mod config;
pub mod external_services;
pub mod files;
pub mod hooks;
pub mod inbox;
pub mod lifecycle;
pub mod links;
pub mod lookalike;
pub mod media;
pub mod metrics;
pub mod module;
pub mod outbound;
pub mod passage;
pub mod presence;
pub mod privacy;
pub mod questions;
pub mod roster;
pub mod router;
pub mod sessions;

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use wello_store::{Store, StoreError};

use crate::accounts::Accounts;
use crate::blocklist::Blocklist;
use crate::bytestreams::Bytestreams;
use crate::clock::Clock;
use crate::config::Config;
use crate::files::Files;
use crate::hooks::{Hooks, RemoteRoute};
use crate::links::Link;
use crate::media::Media;
use crate::metrics::Metrics;
use crate::module::{Module, Registrar};
use crate::outbound::Outbound;
use crate::privacy::Privacy;
use crate::questions::Questions;
use crate::sessions::Sessions;

/// Everything that features share. One per process.
pub struct Kernel {
    pub config: Config,
    /// The domains served here, those of guests among them.
    pub hosts: HashSet<String>,
    pub store: Store,
    pub accounts: Accounts,
    pub files: Files,
    pub blocklist: Blocklist,
    pub bytestreams: Bytestreams,
    pub sessions: Sessions,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    pub privacy: Privacy,
    pub questions: Questions,
    pub outbound: Outbound,
    pub media: Media,
    modules: Vec<Arc<dyn Module>>,
    hooks: Hooks,
    remote: OnceLock<Arc<dyn RemoteRoute>>,
}

impl Kernel {
    pub async fn new(
        config: Config,
        store: Store,
        metrics: Arc<Metrics>,
        modules: Vec<Arc<dyn Module>>,
    ) -> Result<Arc<Kernel>, StoreError> {
        Kernel::with_clock(config, store, metrics, modules, Clock::System).await
    }

    /// A kernel whose time is told by `clock`.
    pub async fn with_clock(
        config: Config,
        store: Store,
        metrics: Arc<Metrics>,
        modules: Vec<Arc<dyn Module>>,
        clock: Clock,
    ) -> Result<Arc<Kernel>, StoreError> {
        let mut hooks = Hooks::default();
        for module in &modules {
            Arc::clone(module).register(&mut Registrar::new(&mut hooks));
        }
        let accounts = Accounts::open(&config, &store, clock.clone()).await?;
        let guests = config.guest_domains();
        let files = Files::open(&config, &store, clock.clone()).map_err(std::io::Error::other)?;
        let blocklist = Blocklist::open(&config.blocklists.files);
        let named = |error| std::io::Error::other(format!("blocklists.files: {error}"));
        let blocklist = blocklist.map_err(named)?;
        Ok(Arc::new(Kernel {
            hosts: config.domains().into_iter().map(str::to_owned).chain(guests).collect(),
            config,
            store,
            accounts,
            files,
            blocklist,
            bytestreams: Bytestreams::default(),
            sessions: Sessions::default(),
            clock,
            metrics,
            privacy: Privacy::default(),
            questions: Questions::default(),
            outbound: Outbound::default(),
            media: Media::default(),
            modules,
            hooks,
            remote: OnceLock::new(),
        }))
    }

    pub fn modules(&self) -> &[Arc<dyn Module>] {
        &self.modules
    }

    /// Who takes what is for other servers; the first one counts. Commands of the operator have none.
    pub fn install_remote(&self, remote: Arc<dyn RemoteRoute>) {
        let _ = self.remote.set(remote);
    }

    /// The streams with other servers, as they are now.
    pub fn links(&self) -> Vec<Link> {
        self.remote.get().map(|remote| remote.links()).unwrap_or_default()
    }

    pub fn hooks(&self) -> &Hooks {
        &self.hooks
    }
}
