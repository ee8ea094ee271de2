//! Devices switch push on and off (sections 5, 6 and 9).

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use wello_kernel::Kernel;
use wello_kernel::hooks::{IqAnswer, IqHandler, IqRequest, Request};
use wello_store::{PushService, StoreError};
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::data_form::DataForm;
use wello_wire::stanza::Stanza;
use wello_wire::xml::Element;

use super::Push;

/// Services of one account: one for each app on each device.
const MAX_SERVICES: u32 = 30;
/// Bytes of a node's name, and of what is published along: a secret and a few settings.
const MAX_NODE: usize = 1024;
const MAX_OPTIONS: usize = 4096;

#[async_trait]
impl IqHandler for Push {
    async fn handle(
        &self,
        kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        request.expect(Request::Set)?;
        let session = request.own_session()?;
        let account = &request.to;
        let target = Target::parse(request.payload)?;
        match request.payload.name() {
            "enable" => {
                let service = PushService {
                    account: account.to_string(),
                    jid: target.jid.to_string(),
                    node: target.node.unwrap_or_default(),
                    resource: session.jid.resource().to_owned(),
                    client: session.info.client_id.clone(),
                    options: options(request.payload)?,
                    enabled: kernel.clock.now(),
                    failures: 0,
                    paused_until: None,
                };
                let enabled = kernel.store.push.enable(&service, MAX_SERVICES).await;
                self.shared.silent.forget(account.as_str());
                if !enabled.map_err(|error| failed(account, &error))? {
                    return Err(StanzaError::resource_constraint("too many push services"));
                }
            }
            "disable" => {
                let (jid, node) = (target.jid.as_str(), target.node.as_deref());
                let disabled = kernel.store.push.disable(account.as_str(), jid, node).await;
                disabled.map_err(|error| failed(account, &error))?;
            }
            _ => return Err(StanzaError::bad_request("neither enable nor disable")),
        }
        Ok(IqAnswer::Result(None))
    }
}

/// What a request is about.
struct Target {
    jid: Jid,
    node: Option<String>,
}

impl Target {
    fn parse(payload: &Element) -> Result<Target, StanzaError> {
        let jid = payload.attr("jid").filter(|jid| !jid.is_empty());
        let jid = jid.ok_or_else(|| StanzaError::bad_request("jid is missing"))?.parse()?;
        let node = payload.attr("node").filter(|node| !node.is_empty()).map(str::to_owned);
        if node.as_ref().is_some_and(|node| node.len() > MAX_NODE) {
            return Err(StanzaError::bad_request("the node's name is too long"));
        }
        Ok(Target { jid, node })
    }
}

/// A form of publish-options; others mean nothing.
fn options(payload: &Element) -> Result<Option<Bytes>, StanzaError> {
    let Some(form) = payload.child("x", ns::DATA_FORM) else { return Ok(None) };
    let parsed = DataForm::parse(form)?;
    if parsed.form_type() != Some(PUBLISH_OPTIONS) {
        return Ok(None);
    }
    let text = parsed.to_element().to_string();
    if text.len() > MAX_OPTIONS {
        return Err(StanzaError::bad_request("the publish options are too long"));
    }
    Ok(Some(text.into()))
}

const PUBLISH_OPTIONS: &str = "http://jabber.org/protocol/pubsub#publish-options";

/// Section 9: an app server takes back the right to publish.
pub(super) async fn handle_affiliation(kernel: &Arc<Kernel>, account: &BareJid, message: &Stanza) {
    let Some(from) = &message.from else { return };
    let Some(pubsub) = message.child("pubsub", ns::PUBSUB) else { return };
    let lost = pubsub.child("affiliation", ns::PUBSUB).is_some_and(|affiliation| {
        let affected = affiliation.attr("jid").and_then(|jid| jid.parse::<Jid>().ok());
        affiliation.attr("affiliation") == Some("none")
            && affected.is_none_or(|jid| jid.bare_str() == account.as_str())
    });
    let Some(node) = pubsub.attr("node").filter(|_| lost) else { return };
    match kernel.store.push.disable(account.as_str(), from.as_str(), Some(node)).await {
        Ok(0) => {}
        Ok(_) => tracing::info!(%account, service = %from, "an app server ended its push service"),
        Err(error) => tracing::error!(%account, %error, "push service not disabled"),
    }
}

fn failed(account: &BareJid, error: &StoreError) -> StanzaError {
    tracing::error!(%account, %error, "push services not reached");
    StanzaError::internal_server_error("")
}
