//! UnifiedPush with XMPP clients as distributors: servers of apps post to an address of ours, and a
//! client on the device hands it to the app. <https://codeberg.org/iNPUTmice/up> has the protocol.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use wello_kernel::Kernel;
use wello_kernel::clock::random_id;
use wello_kernel::metrics::PushLabels;
use wello_store::{PushEndpoint, StoreError};
use wello_wire::error::{Condition, StanzaError};
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::stanza::{IqType, Stanza};
use wello_wire::xml::Element;

use super::LABEL;

/// Octets of a push (RFC 8030, section 7.2).
pub const MAX_PUSH: usize = 4096;
/// Apps of all devices of one account.
const MAX_ENDPOINTS: u32 = 100;
/// Clients renew in time.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// How long a client may take to hand a push over.
const PATIENCE: Duration = Duration::from_secs(20);

/// What became of a push, for the app's server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    Done,
    /// The address is none any more.
    Gone,
    /// The device is not there.
    Later,
}

pub(super) async fn register(
    kernel: &Arc<Kernel>,
    account: &BareJid,
    from: &Jid,
    host: &str,
    request: &Element,
) -> Result<Element, StanzaError> {
    let hash = |name: &str| {
        let hash = request.attr(name).filter(|text| is_sha256(text)).map(str::to_owned);
        hash.ok_or_else(|| StanzaError::bad_request(format!("{name} is no SHA-256 in base 64")))
    };
    let (application, instance) = (hash("application")?, hash("instance")?);
    let resource = from.resource().ok_or_else(|| StanzaError::bad_request("only for devices"))?;
    let web = kernel.config.web_address(host);
    let web = web.ok_or_else(|| StanzaError::service_unavailable("no web address"))?;
    let now = kernel.clock.now();
    let endpoint = PushEndpoint {
        token: random_id(),
        account: account.to_string(),
        resource: resource.to_owned(),
        application,
        instance,
        expires: now.saturating_add(LIFETIME),
    };
    let token = kernel.store.push_devices.add_endpoint(&endpoint, MAX_ENDPOINTS, now).await;
    let token = token.map_err(|error| {
        tracing::error!(%error, "push endpoint not stored");
        StanzaError::internal_server_error("")
    })?;
    let token = token.ok_or_else(|| StanzaError::resource_constraint("too many apps"))?;
    Ok(Element::new("registered", ns::UNIFIED_PUSH)
        .with_attr("endpoint", format!("{web}/push/{token}"))
        .with_attr("expiration", endpoint.expires.to_string()))
}

fn is_sha256(text: &str) -> bool {
    STANDARD.decode(text).is_ok_and(|hash| hash.len() == 32)
}

/// Hands what was posted to an address to the client on the device. At most [`MAX_PUSH`] octets.
pub async fn hand_over(
    kernel: &Arc<Kernel>,
    token: &str,
    push: &[u8],
) -> Result<Handover, StoreError> {
    let Some(endpoint) = find(kernel, token).await? else { return Ok(Handover::Gone) };
    let (Ok(account), Ok(to)) = (
        endpoint.account.parse::<BareJid>(),
        format!("{}/{}", endpoint.account, endpoint.resource).parse::<Jid>(),
    ) else {
        return Ok(Handover::Gone);
    };
    let Ok(from) = format!("{LABEL}.{}", account.domain()).parse() else {
        return Ok(Handover::Gone);
    };
    // One that is away answers when the app's server does not wait any more.
    let session = kernel.sessions.find(&to).filter(|session| !session.is_hibernating());
    let handover = match session {
        None => Handover::Later,
        Some(_) => {
            let payload = Element::new("push", ns::UNIFIED_PUSH)
                .with_attr("application", endpoint.application)
                .with_attr("instance", endpoint.instance)
                .with_text(STANDARD.encode(push));
            judge(kernel.ask(from, to, IqType::Set, payload, PATIENCE).await.as_ref())
        }
    };
    let outcome = match handover {
        Handover::Done => "sent",
        Handover::Gone => "gone",
        Handover::Later => "failed",
    };
    kernel.metrics.pushes.get_or_create(&PushLabels { gateway: "unified", outcome }).inc();
    if handover == Handover::Gone {
        kernel.store.push_devices.remove_endpoint(token).await?;
    }
    Ok(handover)
}

/// Whether an address can be posted to.
pub async fn is_endpoint(kernel: &Arc<Kernel>, token: &str) -> Result<bool, StoreError> {
    Ok(find(kernel, token).await?.is_some())
}

async fn find(kernel: &Arc<Kernel>, token: &str) -> Result<Option<PushEndpoint>, StoreError> {
    kernel.store.push_devices.endpoint(token, kernel.clock.now()).await
}

/// The protocol's section "Push": two errors take the address back, others pass.
fn judge(answer: Option<&Stanza>) -> Handover {
    let Some(answer) = answer else { return Handover::Later };
    if !answer.is_error() {
        return Handover::Done;
    }
    let error = answer.child("error", ns::CLIENT).map(StanzaError::from_element);
    match error.map(|error| error.condition) {
        Some(Condition::ItemNotFound | Condition::FeatureNotImplemented) => Handover::Gone,
        _ => Handover::Later,
    }
}

/// What the body of an answer to a GET is, for those who look for a push server.
pub fn about() -> Bytes {
    Bytes::from_static(br#"{"unifiedpush":{"version":1}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_answers() {
        let error = |condition: &str| {
            let text = format!(
                "<iq xmlns='jabber:client' type='error'><error type='cancel'>\
                 <{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
            );
            judge(Some(&Stanza::from_element(text.parse().unwrap()).unwrap()))
        };
        let result: Element = "<iq xmlns='jabber:client' type='result'/>".parse().unwrap();
        assert_eq!(judge(Some(&Stanza::from_element(result).unwrap())), Handover::Done);
        assert_eq!(judge(None), Handover::Later);
        assert_eq!(error("item-not-found"), Handover::Gone);
        assert_eq!(error("feature-not-implemented"), Handover::Gone);
        assert_eq!(error("service-unavailable"), Handover::Later);
    }

    #[test]
    fn hashes_are_told_from_other_text() {
        assert!(is_sha256("EtD/1XPLmoIph7W73CZ/uyv6FAnhEAXY1GySHX17vAw="));
        for bad in ["", "x", "EtD/1XPLmoIph7W73CZ/uyv6FAnhEAXY1GySHX17vAw", "AAAA"] {
            assert!(!is_sha256(bad), "{bad}");
        }
    }
}
