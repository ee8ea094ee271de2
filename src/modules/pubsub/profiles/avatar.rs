//! Avatars: one picture, seen as an item (XEP-0084), in the vCard and in presence (XEP-0398,
//! XEP-0153).
//!
//! The nodes hold it. What others get of the vCard is made when they ask, so that who may not
//! read the nodes does not see it there (XEP-0398, section 8).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use wello_kernel::Kernel;
use wello_kernel::sessions::SessionId;
use wello_store::DocumentKey;
use wello_wire::jid::BareJid;
use wello_wire::ns;
use wello_wire::payload::vcard::{AvatarUpdate, Photo};
use wello_wire::stanza::Stanza;
use wello_wire::xml::Element;

use super::super::event::parse;
use super::super::own::Own;
use super::super::refusals::Refusal;
use super::shown;

/// What goes into presence.
#[derive(Default)]
pub(crate) struct Announced {
    /// By account; `None` is nothing, as whoever never had a picture need not say so.
    known: Mutex<HashMap<BareJid, Option<AvatarUpdate>>>,
    /// Grows when something is forgotten, so that what was read before is not remembered after.
    changes: AtomicU64,
    /// Sessions whose clients said that there is no picture (XEP-0398, section 5).
    silent: Mutex<HashSet<SessionId>>,
}

/// Entries of `known` before all are forgotten.
const MAX_KNOWN: usize = 10_000;

impl Announced {
    pub(crate) fn forget(&self, account: &BareJid) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.known.lock().remove(account);
    }

    pub(crate) fn forget_session(&self, session: SessionId) {
        self.silent.lock().remove(&session);
    }

    async fn of(&self, own: &Own<'_>) -> Result<Option<AvatarUpdate>, Refusal> {
        if let Some(known) = self.known.lock().get(own.account()) {
            return Ok(known.clone());
        }
        let before = self.changes.load(Ordering::Acquire);
        let update = match current(own).await? {
            Published::Never => old_photo(own).await?.map(|photo| AvatarUpdate::Hash(photo.hash())),
            Published::Nothing => Some(AvatarUpdate::NoPhoto),
            Published::Picture(info) => Some(AvatarUpdate::Hash(info.id)),
        };
        let mut known = self.known.lock();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        if self.changes.load(Ordering::Acquire) == before {
            known.insert(own.account().clone(), update.clone());
        }
        Ok(update)
    }

    /// Whether the session's client does without. It says so in what it broadcasts; what it
    /// directs at somebody speaks for itself.
    fn is_silent(&self, session: SessionId, presence: &Stanza, again: bool) -> bool {
        let mut silent = self.silent.lock();
        if again {
            return silent.contains(&session);
        }
        let said = presence.child("x", ns::VCARD_UPDATE).map(AvatarUpdate::parse);
        let says_none = matches!(said, Some(Ok(AvatarUpdate::NoPhoto)));
        if presence.to.is_none() && says_none {
            silent.insert(session);
        } else if presence.to.is_none() {
            silent.remove(&session);
        }
        says_none
    }
}

/// What the metadata node says.
#[derive(Debug, PartialEq)]
enum Published {
    Never,
    /// The avatar is switched off, or kept elsewhere.
    Nothing,
    Picture(Info),
}

#[derive(Debug, PartialEq)]
struct Info {
    id: String,
    media_type: Option<String>,
}

async fn current(own: &Own<'_>) -> Result<Published, Refusal> {
    let Some(node) = own.node(ns::AVATAR_METADATA).await? else { return Ok(Published::Never) };
    let item = own.last(&node).await?;
    Ok(item.map_or(Published::Never, |item| published(&item.payload)))
}

/// XEP-0398, section 4.1: of several, the one that is not at a URL.
fn published(metadata: &Element) -> Published {
    let mut infos = metadata.children().filter(|child| child.is("info", ns::AVATAR_METADATA));
    let here = infos.find(|info| info.attr("url").is_none());
    let Some((info, id)) = here.and_then(|info| Some((info, info.attr("id")?))) else {
        return Published::Nothing;
    };
    Published::Picture(Info {
        id: id.to_ascii_lowercase(),
        media_type: info.attr("type").map(str::to_owned),
    })
}

/// The picture of an account that has only ever put one into its vCard, before there were nodes.
async fn old_photo(own: &Own<'_>) -> Result<Option<Photo>, Refusal> {
    let documents = &own.kernel.store.documents;
    let stored = documents.get(own.account().as_str(), &DocumentKey::VCardTemp).await?;
    let vcard = stored.as_deref().and_then(parse);
    Ok(vcard.and_then(|vcard| Photo::within(&vcard).ok()?))
}

/// The picture itself, if it is what its id says.
async fn picture(own: &Own<'_>, info: &Info) -> Result<Option<Photo>, Refusal> {
    let Some(node) = own.node(ns::AVATAR_DATA).await? else { return Ok(None) };
    let item = own.item(&node, &info.id).await?;
    Ok(item.and_then(|item| decode(&item.payload, info)))
}

fn decode(data: &Element, info: &Info) -> Option<Photo> {
    // XEP-0084, section 4.1: line feeds must be accepted.
    let text: String = data.text().split_ascii_whitespace().collect();
    let photo = Photo { media_type: info.media_type.clone(), data: STANDARD.decode(text).ok()? };
    (photo.hash() == info.id).then_some(photo)
}

/// The vCard as `viewer` gets it, with the picture that it may see.
pub(crate) async fn with_photo(
    own: &Own<'_>,
    vcard: Option<Element>,
    viewer: &BareJid,
) -> Result<Option<Element>, Refusal> {
    let photo = match current(own).await? {
        Published::Never => return Ok(vcard),
        Published::Nothing => None,
        Published::Picture(info) => match may_see(own, viewer).await? {
            true => picture(own, &info).await?,
            false => None,
        },
    };
    if vcard.is_none() && photo.is_none() {
        return Ok(None);
    }
    let mut vcard = vcard.unwrap_or_else(|| Element::new("vCard", ns::VCARD_TEMP));
    Photo::replace(photo.as_ref(), &mut vcard);
    Ok(Some(vcard))
}

async fn may_see(own: &Own<'_>, viewer: &BareJid) -> Result<bool, Refusal> {
    for name in [ns::AVATAR_DATA, ns::AVATAR_METADATA] {
        let Some(node) = own.node(name).await? else { return Ok(false) };
        if !own.lets_read(&node, viewer).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// XEP-0398, section 4.2: takes the picture out of a vCard that its owner stores, and publishes
/// it. Returns what is left to be stored.
pub(crate) async fn publish_photo(own: &Own<'_>, mut vcard: Element) -> Result<Element, Refusal> {
    // A picture that cannot be read is left where it is.
    let Ok(photo) = Photo::within(&vcard) else { return Ok(vcard) };
    let before = current(own).await?;
    match (&photo, &before) {
        (Some(photo), Published::Picture(info)) if photo.hash() == info.id => {}
        (Some(photo), _) => publish(own, photo).await?,
        (None, Published::Picture(_)) => {
            let none = Element::new("metadata", ns::AVATAR_METADATA);
            own.publish(ns::AVATAR_METADATA, None, none).await?;
        }
        (None, _) => {}
    }
    Photo::replace(None, &mut vcard);
    Ok(vcard)
}

async fn publish(own: &Own<'_>, photo: &Photo) -> Result<(), Refusal> {
    // Who can read the vCard may read what comes from there, too.
    let access = shown::model(own).await?;
    own.make_node(ns::AVATAR_DATA, access).await?;
    own.make_node(ns::AVATAR_METADATA, access).await?;
    let id = photo.hash();
    let data = Element::new("data", ns::AVATAR_DATA).with_text(STANDARD.encode(&photo.data));
    own.publish(ns::AVATAR_DATA, Some(&id), data).await?;
    let media_type = photo.media_type.as_deref().filter(|type_| !type_.trim().is_empty());
    let info = Element::new("info", ns::AVATAR_METADATA)
        .with_attr("bytes", photo.data.len().to_string())
        .with_attr("id", id.as_str())
        .with_attr("type", media_type.unwrap_or("image/png"));
    let metadata = Element::new("metadata", ns::AVATAR_METADATA).with_child(info);
    own.publish(ns::AVATAR_METADATA, Some(&id), metadata).await
}

/// XEP-0398, section 5: the hash in presence, unless the client says that there is no picture.
pub(crate) async fn announce(
    announced: &Announced,
    own: &Own<'_>,
    session: SessionId,
    presence: &mut Stanza,
    again: bool,
) -> Result<(), Refusal> {
    if announced.is_silent(session, presence, again) {
        return Ok(());
    }
    let Some(update) = announced.of(own).await? else { return Ok(()) };
    presence.retain_children(|child| !child.is("x", ns::VCARD_UPDATE));
    *presence = presence.clone().with_child(update.to_element());
    Ok(())
}

/// Whether a change of this node changes the avatar.
pub(crate) fn concerns(node: &str) -> bool {
    node == ns::AVATAR_METADATA
}

/// Contacts who look at presence only learn of the new picture, too.
pub(crate) async fn changed(announced: &Announced, kernel: &Arc<Kernel>, account: &BareJid) {
    announced.forget(account);
    for session in kernel.sessions.of(account).iter().filter(|session| session.is_available()) {
        kernel.announce_again(session).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(infos: &str) -> Published {
        let xml = format!("<metadata xmlns='urn:xmpp:avatar:metadata'>{infos}</metadata>");
        published(&xml.parse().unwrap())
    }

    #[test]
    fn the_picture_that_is_here_is_picked() {
        assert_eq!(metadata(""), Published::Nothing);
        assert_eq!(metadata("<info id='1' url='https://x/'/>"), Published::Nothing);
        let both = "<info id='1' url='https://x/'/><info id='AB' type='image/png' bytes='5'/>";
        let info = Info { id: "ab".to_owned(), media_type: Some("image/png".to_owned()) };
        assert_eq!(metadata(both), Published::Picture(info));
    }

    #[test]
    fn a_picture_must_be_what_its_id_says() {
        let data: Element =
            "<data xmlns='urn:xmpp:avatar:data'>aGVs\n bG8=</data>".parse().unwrap();
        let info = |id: &str| Info { id: id.to_owned(), media_type: None };
        let right = info("aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d");
        assert_eq!(decode(&data, &right).unwrap().data, b"hello");
        assert_eq!(decode(&data, &info("00")), None);
    }
}
