//! Private XML storage (XEP-0049).

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
use wello_wire::payload::private::PrivateStorage;
use wello_wire::xml::Element;

use crate::pubsub::PubSub;
use crate::pubsub::own::Own;
use crate::pubsub::profiles::bookmarks;

pub struct Private {
    pubsub: Arc<PubSub>,
}

const SPECS: &[Spec] = &[Spec {
    id: "XEP-0049",
    title: "Private XML Storage",
    version: "1.2",
    status: Status::Complete,
    host_features: &[ns::PRIVATE],
    account_features: &[ns::PRIVATE],
}];

/// Bytes of one element, and of all that an account stores. Bookmarks and settings, which is what
/// clients keep here, take a few kilobytes.
const MAX_ELEMENT: usize = 128 * 1024;
const MAX_TOTAL: usize = 1024 * 1024;
const MAX_ELEMENTS: usize = 100;

impl Private {
    pub(crate) fn new(pubsub: Arc<PubSub>) -> Private {
        Private { pubsub }
    }
}

impl Module for Private {
    fn name(&self) -> &'static str {
        "private"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.iq(IqScope::Account, ns::PRIVATE, self);
    }
}

#[async_trait]
impl IqHandler for Private {
    async fn handle(
        &self,
        kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        request.own_session()?;
        let storage = PrivateStorage::parse(request.payload)?;
        let own = Own::of(&self.pubsub, kernel, &request.to);
        match request.request {
            Request::Get => get(&own, storage).await,
            Request::Set => set(&own, storage).await,
        }
    }
}

async fn get(own: &Own<'_>, asked: PrivateStorage) -> Result<IqAnswer, StanzaError> {
    let (kernel, account) = (own.kernel, own.account());
    let mut items = Vec::with_capacity(asked.items.len().min(MAX_ELEMENTS));
    for item in asked.items.into_iter().take(MAX_ELEMENTS) {
        if bookmarks::is_storage(&item) {
            items.push(bookmarks::storage(own).await?.unwrap_or(item));
            continue;
        }
        let stored = kernel.store.documents.get(account.as_str(), &key(&item)).await;
        let stored = stored.map_err(|error| failed(account, &error))?;
        let stored = stored.and_then(|xml| std::str::from_utf8(&xml).ok()?.parse::<Element>().ok());
        // Section 2: what was never stored comes back as it was asked for.
        items.push(stored.unwrap_or(item));
    }
    Ok(PrivateStorage { items }.to_element().into())
}

async fn set(own: &Own<'_>, mut storage: PrivateStorage) -> Result<IqAnswer, StanzaError> {
    let (documents, account) = (&own.kernel.store.documents, own.account());
    // Rooms go elsewhere; what comes after is what is left of the document.
    for item in storage.items.iter_mut().filter(|item| bookmarks::is_storage(item)) {
        *item = bookmarks::replace(own, item).await?;
    }
    let new: Vec<(DocumentKey, Bytes)> =
        storage.items.iter().map(|item| (key(item), Bytes::from(item.to_string()))).collect();
    let stored = documents.list(account.as_str()).await;
    check_room(&stored.map_err(|error| failed(account, &error))?, &new)?;
    for (key, xml) in &new {
        let written = documents.set(account.as_str(), key, xml).await;
        written.map_err(|error| failed(account, &error))?;
    }
    if storage.items.iter().any(bookmarks::is_storage) {
        bookmarks::mirror(own).await?;
    }
    Ok(IqAnswer::Result(None))
}

/// Whether an account that has `stored` may store `new`, too.
fn check_room(
    stored: &[(DocumentKey, Bytes)],
    new: &[(DocumentKey, Bytes)],
) -> Result<(), StanzaError> {
    if new.iter().any(|(_, xml)| xml.len() > MAX_ELEMENT) {
        return Err(StanzaError::policy_violation("this element is too big"));
    }
    let is_replaced = |key: &DocumentKey| new.iter().any(|(other, _)| other == key);
    let kept = stored
        .iter()
        .filter(|(key, _)| matches!(key, DocumentKey::Private { .. }) && !is_replaced(key));
    let (count, bytes) =
        kept.chain(new).fold((0, 0), |(count, bytes), (_, xml)| (count + 1, bytes + xml.len()));
    if count > MAX_ELEMENTS || bytes > MAX_TOTAL {
        return Err(StanzaError::resource_constraint("the private storage is full"));
    }
    Ok(())
}

fn key(item: &Element) -> DocumentKey {
    DocumentKey::Private { namespace: item.ns().to_owned(), name: item.name().to_owned() }
}

fn failed(account: &BareJid, error: &StoreError) -> StanzaError {
    tracing::error!(%account, %error, "private storage not reached");
    StanzaError::internal_server_error("")
}

#[cfg(test)]
mod tests {
    use wello_wire::error::Condition;

    use super::*;

    fn document(name: &str, bytes: usize) -> (DocumentKey, Bytes) {
        let key = DocumentKey::Private { namespace: "urn:a".to_owned(), name: name.to_owned() };
        (key, Bytes::from(vec![b'x'; bytes]))
    }

    fn refusal(stored: &[(DocumentKey, Bytes)], new: (DocumentKey, Bytes)) -> Option<Condition> {
        check_room(stored, &[new]).err().map(|error| error.condition)
    }

    #[test]
    fn room_is_bounded_and_replacing_frees_it() {
        assert_eq!(refusal(&[], document("a", MAX_ELEMENT)), None);
        let too_big = refusal(&[], document("a", MAX_ELEMENT + 1));
        assert_eq!(too_big, Some(Condition::PolicyViolation));
        let full: Vec<_> = (0..8).map(|n| document(&n.to_string(), MAX_TOTAL / 8)).collect();
        assert_eq!(refusal(&full, document("8", 1)), Some(Condition::ResourceConstraint));
        assert_eq!(refusal(&full, document("7", 1)), None);
        let many: Vec<_> = (0..MAX_ELEMENTS).map(|n| document(&n.to_string(), 1)).collect();
        assert_eq!(refusal(&many, document("x", 1)), Some(Condition::ResourceConstraint));
    }

    #[test]
    fn other_documents_do_not_count() {
        let vcards = vec![(DocumentKey::VCardTemp, Bytes::from(vec![b'x'; 2 * MAX_TOTAL]))];
        assert_eq!(refusal(&vcards, document("a", 1)), None);
    }
}
