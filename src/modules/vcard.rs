//! vCards of accounts, in the format of old (XEP-0054).

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use wello_kernel::Kernel;
use wello_kernel::hooks::{IqAnswer, IqHandler, IqRequest, IqScope, Request};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_store::{DocumentKey, StoreError};
use wello_wire::error::StanzaError;
use wello_wire::jid::BareJid;
use wello_wire::ns;
use wello_wire::xml::Element;

use crate::pubsub::PubSub;
use crate::pubsub::own::Own;
use crate::pubsub::profiles::{avatar, shown};

pub struct VCard {
    pubsub: Arc<PubSub>,
}

const SPECS: &[Spec] = &[Spec {
    id: "XEP-0054",
    title: "vcard-temp",
    version: "1.3.0",
    status: Status::Complete,
    host_features: &[ns::VCARD_TEMP],
    account_features: &[ns::VCARD_TEMP],
}];

/// Bytes of a card. XEP-0153, section 4.1 recommends photos below 8 KiB; clients send bigger ones.
const MAX_CARD: usize = 64 * 1024;

impl VCard {
    pub(crate) fn new(pubsub: Arc<PubSub>) -> VCard {
        VCard { pubsub }
    }
}

impl Module for VCard {
    fn name(&self) -> &'static str {
        "vcard"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.iq(IqScope::Account, ns::VCARD_TEMP, self);
    }
}

#[async_trait]
impl IqHandler for VCard {
    async fn handle(
        &self,
        kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        if request.payload.name() != "vCard" {
            return Err(StanzaError::bad_request("not a vCard"));
        }
        let own = Own::of(&self.pubsub, kernel, &request.to);
        match request.request {
            Request::Get => {
                let stored = kernel.store.documents.get(request.to.as_str(), &KEY).await;
                let stored = read(stored.map_err(|error| failed(&request.to, &error))?);
                let viewer = request.from.bare();
                if !shown::is_shown(&own, &viewer).await? {
                    return answer(None, false);
                }
                answer(avatar::with_photo(&own, stored, &viewer).await?, request.is_own())
            }
            Request::Set => {
                request.own_session()?;
                // Before anything of it is published.
                card(request.payload)?;
                let left = avatar::publish_photo(&own, request.payload.clone()).await?;
                let stored = &kernel.store.documents;
                let stored = stored.set(request.to.as_str(), &KEY, &card(&left)?).await;
                stored.map_err(|error| failed(&request.to, &error))?;
                self.pubsub.avatar_changed(kernel, &request.to).await;
                Ok(IqAnswer::Result(None))
            }
        }
    }
}

const KEY: DocumentKey = DocumentKey::VCardTemp;

fn card(vcard: &Element) -> Result<Bytes, StanzaError> {
    let xml = vcard.to_string();
    if xml.len() > MAX_CARD {
        return Err(StanzaError::policy_violation("the vCard is too big"));
    }
    Ok(xml.into())
}

fn read(stored: Option<Bytes>) -> Option<Element> {
    std::str::from_utf8(&stored?).ok()?.parse().ok()
}

/// Section 3.1: the owner learns that there is none; section 3.3: others get what they would get
/// for an account that does not exist.
fn answer(vcard: Option<Element>, own: bool) -> Result<IqAnswer, StanzaError> {
    match vcard {
        Some(vcard) => Ok(vcard.into()),
        None if own => Err(StanzaError::item_not_found("no vCard yet")),
        None => Err(StanzaError::service_unavailable("")),
    }
}

fn failed(account: &BareJid, error: &StoreError) -> StanzaError {
    tracing::error!(%account, %error, "vCard not reached");
    StanzaError::internal_server_error("")
}

#[cfg(test)]
mod tests {
    use wello_wire::error::Condition;

    use super::*;

    #[test]
    fn what_is_stored_comes_back_and_nothing_looks_like_nobody() {
        let vcard: Element =
            "<vCard xmlns='vcard-temp'><FN>A &amp; B</FN></vCard>".parse().unwrap();
        let Ok(IqAnswer::Result(Some(read))) = answer(read(Some(card(&vcard).unwrap())), false)
        else {
            panic!("a vCard");
        };
        assert_eq!(read, vcard);
        let condition = |own| answer(None, own).unwrap_err().condition;
        assert_eq!(condition(true), Condition::ItemNotFound);
        assert_eq!(condition(false), Condition::ServiceUnavailable);
    }

    #[test]
    fn the_size_is_bounded() {
        let of = |bytes| Element::new("vCard", ns::VCARD_TEMP).with_text("x".repeat(bytes));
        assert!(card(&of(MAX_CARD - 100)).is_ok());
        assert_eq!(card(&of(MAX_CARD)).unwrap_err().condition, Condition::PolicyViolation);
    }
}
