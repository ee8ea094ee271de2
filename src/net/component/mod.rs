//! Components (XEP-0114): programs that serve a domain of their own.

mod queue;
mod task;

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wello_kernel::Kernel;
use wello_kernel::config::{Component, Rate};
use wello_stream::component::Settings;
use wello_stream::s2s::Domain;
use wello_wire::error::{ErrorType, StanzaError};
use wello_wire::stanza::Stanza;

use crate::listener::Accepted;

use queue::Queue;

/// Connections of one component at the same time.
const MAX_CONNECTIONS: usize = 16;

/// Speaks with components.
pub struct ComponentServer {
    kernel: Arc<Kernel>,
    settings: Arc<Settings>,
    domains: HashSet<Domain>,
    connected: Mutex<HashMap<Domain, Vec<Arc<Queue>>>>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl ComponentServer {
    pub fn new(kernel: Arc<Kernel>, shutdown: CancellationToken) -> Arc<ComponentServer> {
        let config = &kernel.config;
        let secrets = config.component.iter().filter_map(|component| {
            Some((Domain::parse(&component.domain)?, component.secret.clone()))
        });
        let secrets: HashMap<Domain, String> = secrets.collect();
        Arc::new(ComponentServer {
            domains: secrets.keys().cloned().collect(),
            settings: Arc::new(Settings {
                secrets,
                limits_before_login: config.limits.before_login(),
                limits: config.s2s.stream(&config.limits),
            }),
            connected: Mutex::default(),
            shutdown,
            tasks: TaskTracker::new(),
            kernel,
        })
    }

    /// Whether the domain is a component's, be it connected or not.
    pub fn serves(&self, domain: &str) -> bool {
        self.domains.iter().any(|known| known.as_str() == domain)
    }

    pub fn serve(self: &Arc<Self>, accepted: Accepted) {
        let task = task::Task::new(Arc::clone(self), accepted);
        self.tasks.spawn(task.run());
    }

    /// Takes a stanza for a component.
    pub fn post(&self, stanza: Stanza) -> Result<(), StanzaError> {
        let offline = || {
            let error = StanzaError::service_unavailable("this service is not connected");
            error.with_type(ErrorType::Wait)
        };
        let to = stanza.to.as_ref().ok_or_else(offline)?;
        let connected = self.connected.lock();
        let queues = connected.get(&Domain::of(to)).filter(|queues| !queues.is_empty());
        let queues = queues.ok_or_else(offline)?;
        // Of several connections always the same one for one address, which keeps the order.
        let mut hasher = DefaultHasher::new();
        to.bare_str().hash(&mut hasher);
        let place = usize::try_from(hasher.finish() % queues.len() as u64).unwrap_or(0);
        queues[place].post(stanza)
    }

    /// How fast the component may send.
    fn rate_of(&self, domain: &Domain) -> Rate {
        let components = &self.kernel.config.component;
        let found =
            components.iter().find(|known| Domain::parse(&known.domain).as_ref() == Some(domain));
        found.map_or_else(|| self.kernel.config.limits.rate(), Component::rate)
    }

    /// `false`: there are too many.
    fn connect(&self, domain: &Domain, queue: &Arc<Queue>) -> bool {
        let mut connected = self.connected.lock();
        let queues = connected.entry(domain.clone()).or_default();
        let room = queues.len() < MAX_CONNECTIONS;
        if room {
            queues.push(Arc::clone(queue));
        }
        room
    }

    /// Nothing is posted to the queue from now on. What is in it goes another way, or back.
    async fn disconnect(&self, domain: &Domain, queue: &Arc<Queue>) {
        if let Some(queues) = self.connected.lock().get_mut(domain) {
            queues.retain(|other| !Arc::ptr_eq(other, queue));
        }
        for stanza in queue.take(usize::MAX) {
            let returned = stanza.clone();
            if let Err(error) = self.post(stanza)
                && let Some(refusal) = returned.refusal(&error)
            {
                self.kernel.metrics.remote_stanzas_returned.count(returned.kind);
                self.kernel.route(refusal).await;
            }
        }
    }

    /// Waits until all streams are closed.
    pub async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
