//! The service `pubsub.D`.

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::hooks::{DiscoQuery, IqAnswer, IqRequest, Service};
use wello_kernel::sessions::Session;
use wello_store::Ticket;
use wello_wire::error::StanzaError;
use wello_wire::jid::BareJid;
use wello_wire::ns;
use wello_wire::payload::disco::{DiscoInfo, DiscoItem, Identity};
use wello_wire::stanza::{Kind, Stanza};

use super::PubSub;
use super::discovery;
use super::features;
use super::host::{Call, Host};
use super::notify;
use super::subscribe;

#[async_trait]
impl Service for PubSub {
    async fn info(&self, _kernel: &Arc<Kernel>, _domain: &BareJid) -> DiscoInfo {
        DiscoInfo {
            identities: vec![Identity::new("pubsub", "service", Some("Publish-Subscribe"))],
            features: features::of_service(),
            ..DiscoInfo::default()
        }
    }

    async fn items(&self, kernel: &Arc<Kernel>, query: &DiscoQuery) -> Vec<DiscoItem> {
        let host = Host::Service(query.to.clone());
        let call = Call { kernel, host: &host, from: &query.from };
        discovery::nodes(&call).await.unwrap_or_default()
    }

    /// What changes is stored before this returns.
    async fn answer(
        &self,
        kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        if ![ns::PUBSUB, ns::PUBSUB_OWNER].contains(&request.payload.ns()) {
            return Err(StanzaError::service_unavailable(""));
        }
        let host = Host::Service(request.to.clone());
        self.handle_request(kernel, &host, &request).await
    }

    async fn handle(
        &self,
        kernel: &Arc<Kernel>,
        stanza: Stanza,
        session: Option<&Arc<Session>>,
    ) -> Option<Ticket> {
        let result = match stanza.kind {
            Kind::Message => self.message(kernel, &stanza).await,
            Kind::Iq => Err(StanzaError::service_unavailable("nodes are at the domain")),
            // Nothing here depends on who is there.
            Kind::Presence => Ok(()),
        };
        if let Err(error) = result {
            kernel.refuse(session, &stanza, &error).await;
        }
        None
    }
}

impl PubSub {
    /// Owners' decisions; there is nobody to take other messages.
    async fn message(&self, kernel: &Arc<Kernel>, stanza: &Stanza) -> Result<(), StanzaError> {
        let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else { return Ok(()) };
        if stanza.is_error() {
            return Ok(());
        }
        let form = subscribe::decision(stanza).filter(|_| to.is_domain());
        let form = form.ok_or_else(|| StanzaError::service_unavailable(""))?;
        let host = Host::Service(to.bare());
        let outcome = subscribe::decide(&Call { kernel, host: &host, from }, &form).await?;
        for event in outcome.events {
            notify::tell(self, kernel, &host, event).await;
        }
        Ok(())
    }
}
