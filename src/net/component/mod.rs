//! Components (XEP-0114): programs that serve a domain of their own.

mod queue;
mod task;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wello_kernel::Kernel;
use wello_kernel::config::Component;
use wello_stream::component::Settings;
use wello_stream::s2s::Domain;
use wello_wire::error::{ErrorType, StanzaError};
use wello_wire::stanza::{Kind, PresenceType, Stanza};

use crate::listener::Accepted;

use queue::Queue;

/// Speaks with components.
pub struct ComponentServer {
    kernel: Arc<Kernel>,
    settings: Arc<Settings>,
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
        Arc::new(ComponentServer {
            settings: Arc::new(Settings {
                secrets: secrets.collect(),
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
        self.component(domain).is_some()
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

    fn component(&self, domain: &str) -> Option<&Component> {
        self.kernel.config.component.iter().find(|component| component.domain == domain)
    }

    /// The queue of a new connection; `None` when there are as many as there may be.
    fn connect(&self, component: &Component, domain: &Domain) -> Option<Arc<Queue>> {
        let mut connected = self.connected.lock();
        let queues = connected.entry(domain.clone()).or_default();
        if queues.len() >= component.limits.connections {
            return None;
        }
        let queue = Arc::new(Queue::new(component.limits.queue_bytes));
        queues.push(Arc::clone(&queue));
        Some(queue)
    }

    /// Nothing is posted to the queue from now on. What is in it goes another way, or back.
    async fn disconnect(&self, domain: &Domain, queue: &Arc<Queue>) {
        let alone = {
            let mut connected = self.connected.lock();
            let queues = connected.entry(domain.clone()).or_default();
            queues.retain(|other| !Arc::ptr_eq(other, queue));
            queues.is_empty()
        };
        if let Some(component) = self.component(domain.as_str()).filter(|_| alone) {
            self.kernel.component_gone(component).await;
        }
        for stanza in queue.take(usize::MAX) {
            let returned = stanza.clone();
            if let Err(error) = self.post(stanza)
                && expects_answer(&returned)
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

/// Availability is told and not asked; it may even be told without the client's knowledge (XEP-0356).
fn expects_answer(stanza: &Stanza) -> bool {
    let told = |type_| matches!(type_, PresenceType::Available | PresenceType::Unavailable);
    stanza.kind != Kind::Presence || !stanza.presence_type().is_some_and(told)
}
