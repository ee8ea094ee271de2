//! Bookmarks: items of a node (XEP-0402), seen by old clients as a document in private storage
//! (XEP-0048, XEP-0049) or as the one item of another node (XEP-0048 since version 1.1).
//!
//! The first node holds rooms; the document keeps what is none, such as web addresses. The other
//! node mirrors both, once a client has asked for it.

use std::collections::HashMap;

use wello_store::DocumentKey;
use wello_wire::jid::Jid;
use wello_wire::ns;
use wello_wire::xml::Element;

use super::super::event::parse;
use super::super::own::{Own, Read};
use super::super::refusals::Refusal;

/// Whether an element of private storage holds bookmarks.
pub(crate) fn is_storage(element: &Element) -> bool {
    element.is("storage", ns::BOOKMARKS_STORAGE)
}

fn key() -> DocumentKey {
    let (namespace, name) = (ns::BOOKMARKS_STORAGE.to_owned(), "storage".to_owned());
    DocumentKey::Private { namespace, name }
}

/// The document as it was stored, without the rooms that the node holds.
async fn document(own: &Own<'_>) -> Result<Option<Element>, Refusal> {
    let stored = own.kernel.store.documents.get(own.account().as_str(), &key()).await?;
    Ok(stored.as_deref().and_then(parse))
}

/// The document as an old client gets it; `None` when there are no bookmarks of any kind.
pub(crate) async fn storage(own: &Own<'_>) -> Result<Option<Element>, Refusal> {
    adopt(own).await?;
    let document = document(own).await?;
    let Some(node) = own.node(ns::BOOKMARKS).await? else { return Ok(document) };
    let items = own.items(&node).await?;
    let conferences = items.iter().map(to_old);
    let document = document.unwrap_or_else(|| Element::new("storage", ns::BOOKMARKS_STORAGE));
    Ok(Some(document.with_children(conferences)))
}

/// XEP-0402, section 5.2.2: an old client replaces the whole list. Returns the document to be
/// stored; only what is different is published or removed.
pub(crate) async fn replace(own: &Own<'_>, storage: &Element) -> Result<Element, Refusal> {
    adopt(own).await?;
    let (rooms, rest) = split(storage);
    if rooms.len() as u64 > own.kernel.config.pubsub.items {
        return Err(Refusal::NotAcceptable("too many bookmarks".to_owned()));
    }
    let before = match own.node(ns::BOOKMARKS).await? {
        Some(node) => own.items(&node).await?,
        None => Vec::new(),
    };
    let known: HashMap<&str, &Element> =
        before.iter().map(|item| (item.id.as_str(), &item.payload)).collect();
    for (id, old) in &rooms {
        let present = known.get(id.as_str()).copied();
        let new = to_new(old, present);
        if present != Some(&new) {
            own.publish(ns::BOOKMARKS, Some(id), new).await?;
        }
    }
    for gone in before.iter().filter(|item| rooms.iter().all(|(id, _)| *id != item.id)) {
        match own.retract(ns::BOOKMARKS, &gone.id).await {
            // Another client was faster.
            Ok(()) | Err(Refusal::NotFound(_)) => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(rest)
}

/// Rooms that were stored before there was a node, as by an import, become its items.
pub(crate) async fn adopt(own: &Own<'_>) -> Result<(), Refusal> {
    if own.node(ns::BOOKMARKS).await?.is_some() {
        return Ok(());
    }
    let (document, item) = (document(own).await?, mirrored(own).await?);
    for old in document.iter().chain(&item) {
        for (id, room) in split(old).0 {
            own.publish(ns::BOOKMARKS, Some(&id), to_new(&room, None)).await?;
        }
    }
    match document.map(|document| split(&document)) {
        Some((rooms, rest)) if !rooms.is_empty() => store(own, &rest).await,
        _ => Ok(()),
    }
}

async fn store(own: &Own<'_>, document: &Element) -> Result<(), Refusal> {
    let document = document.to_string().into();
    own.kernel.store.documents.set(own.account().as_str(), &key(), &document).await?;
    Ok(())
}

/// What the other node has.
async fn mirrored(own: &Own<'_>) -> Result<Option<Element>, Refusal> {
    let Some(node) = own.node(ns::BOOKMARKS_STORAGE).await? else { return Ok(None) };
    Ok(own.last(&node).await?.map(|item| item.payload))
}

/// XEP-0048, section 3: the id of the one item.
const CURRENT: &str = "current";

/// Makes the other node for a client that asks for it, if there are bookmarks.
pub(crate) async fn make_mirror(own: &Own<'_>) -> Result<(), Refusal> {
    adopt(own).await?;
    match (own.node(ns::BOOKMARKS_STORAGE).await?, storage(own).await?) {
        (None, Some(all)) => own.publish(ns::BOOKMARKS_STORAGE, Some(CURRENT), all).await,
        _ => Ok(()),
    }
}

/// XEP-0402, section 5.2.1: the other node follows a change.
pub(crate) async fn mirror(own: &Own<'_>) -> Result<(), Refusal> {
    if own.node(ns::BOOKMARKS_STORAGE).await?.is_none() {
        return Ok(());
    }
    let none = || Element::new("storage", ns::BOOKMARKS_STORAGE);
    let all = storage(own).await?.unwrap_or_else(none);
    if mirrored(own).await?.as_ref() == Some(&all) {
        return Ok(());
    }
    own.publish(ns::BOOKMARKS_STORAGE, Some(CURRENT), all).await
}

/// An old client has published the whole list at the other node.
pub(crate) async fn republish(own: &Own<'_>, storage: &Element) -> Result<(), Refusal> {
    let rest = replace(own, storage).await?;
    store(own, &rest).await
}

/// The rooms with their addresses, of which each counts once, and everything else.
fn split(storage: &Element) -> (Vec<(String, Element)>, Element) {
    let mut rooms: Vec<(String, Element)> = Vec::new();
    let mut rest = storage.clone();
    rest.retain_children(|child| {
        let address = child.attr("jid").and_then(|jid| jid.parse::<Jid>().ok());
        let Some(jid) = address.filter(|_| child.is("conference", ns::BOOKMARKS_STORAGE)) else {
            return true;
        };
        rooms.retain(|(id, _)| *id != jid.as_str());
        rooms.push((jid.to_string(), child.clone()));
        false
    });
    (rooms, rest)
}

/// Section 5.2.1: in the other namespace, with the address in it.
fn to_old(item: &Read) -> Element {
    let known = ["nick", "password"];
    let children = item.payload.children().filter(|child| known.contains(&child.name()));
    let children = children
        .map(|child| Element::new(child.name(), ns::BOOKMARKS_STORAGE).with_text(child.text()));
    Element::new("conference", ns::BOOKMARKS_STORAGE)
        .with_attr("jid", item.id.as_str())
        .with_attr_opt("name", item.payload.attr("name"))
        .with_attr_opt("autojoin", item.payload.attr("autojoin"))
        .with_children(children)
}

/// What an old client does not know, it must not lose for the others.
fn to_new(old: &Element, present: Option<&Element>) -> Element {
    let known = ["nick", "password"];
    let children = old.children().filter(|child| known.contains(&child.name()));
    let children =
        children.map(|child| Element::new(child.name(), ns::BOOKMARKS).with_text(child.text()));
    let kept = present.map(Element::children).into_iter().flatten();
    let kept = kept.filter(|child| !(child.ns() == ns::BOOKMARKS && known.contains(&child.name())));
    Element::new("conference", ns::BOOKMARKS)
        .with_attr_opt("name", old.attr("name"))
        .with_attr_opt("autojoin", old.attr("autojoin"))
        .with_children(children)
        .with_children(kept.cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_nothing_is_lost() {
        let payload: Element = "<conference xmlns='urn:xmpp:bookmarks:1' name='A' autojoin='1'>\
            <nick>me</nick><password>x</password><extensions><y xmlns='urn:y'/></extensions>\
            </conference>"
            .parse()
            .unwrap();
        let old = to_old(&Read { id: "a@b".to_owned(), payload: payload.clone() });
        assert_eq!(old.attr("jid"), Some("a@b"));
        assert!(old.children().all(|child| child.ns() == ns::BOOKMARKS_STORAGE));
        assert_eq!(old.children().count(), 2);
        assert_eq!(to_new(&old, Some(&payload)), payload);
        assert_eq!(to_new(&old, None).children().count(), 2);
    }

    #[test]
    fn what_is_no_room_stays_in_the_document() {
        let storage: Element = "<storage xmlns='storage:bookmarks'><url url='https://x/'/>\
            <conference jid='a@b' name='1'/><conference jid='@'/><conference jid='A@B' name='2'/>\
            </storage>"
            .parse()
            .unwrap();
        let (rooms, rest) = split(&storage);
        assert_eq!(rooms.len(), 1);
        assert_eq!((rooms[0].0.as_str(), rooms[0].1.attr("name")), ("a@b", Some("2")));
        assert_eq!(rest.children().count(), 2);
    }
}
