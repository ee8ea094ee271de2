//! Imports a file of XEP-0227 (version 1.1).

use std::path::Path;

use anyhow::Context;
use wello_kernel::clock::Clock;
use wello_store::{
    ArchivePrefs, DocumentKey, LastActivity, RosterItem, ScramKeys, Subscription, Timestamp,
};
use wello_stream::sasl::{ScramHash, encoding};
use wello_wire::jid::Jid;
use wello_wire::ns;
use wello_wire::payload::blocking::Blocking;
use wello_wire::payload::delay::Delay;
use wello_wire::payload::mam::MamPrefs;
use wello_wire::payload::roster::{self, Roster};
use wello_wire::xml::Element;

use super::document::{Document, Piece};
use super::eventing::{self, Item};
use super::importer::{Importer, Profile};
use super::{NS_ACCOUNT, NS_PRIVACY, NS_VCARD4, rooms, uploads};

/// Octets of a salt or key.
const MAX_KEY: usize = 1024;

pub async fn import(importer: &mut Importer<'_>, path: &Path) -> anyhow::Result<()> {
    // First all of it, so that nothing comes in from a file that is broken or for others.
    let mut document = Document::open(path)?;
    while let Some(piece) = document.next()? {
        if let Piece::Host(host) = piece {
            importer.check_host(&host)?;
        }
    }
    let mut document = Document::open(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut host = String::new();
    // What cannot be here is passed over with all that belongs to it.
    let mut wanted = false;
    while let Some(piece) = document.next()? {
        match piece {
            Piece::Host(name) => host = name,
            Piece::User { name, password } => {
                wanted = importer.begin(&name, &host);
                importer.password(password.as_deref().unwrap_or_default());
            }
            Piece::Room { jid, created, version } => {
                wanted = begin_room(importer, &jid, created.as_deref(), version.as_deref());
            }
            Piece::Nodes(service) => wanted = importer.begin_service(&service),
            Piece::Unknown(name) => importer.skip(format!("<{name}/>")),
            _ if !wanted => {}
            Piece::Part(part) if part.is("upload", NS_ACCOUNT) => {
                uploads::import_part(importer, &part, folder).await?;
            }
            Piece::Part(part) => {
                let context = || format!("<{}/> of an account", part.name());
                self::part(importer, &part).await.with_context(context)?;
            }
            Piece::RoomPart(part) => rooms::import_part(importer, &part),
            Piece::NodesPart(part) => eventing::import_part(importer, &part).await?,
            Piece::Offline(message) => offline(importer, message).await?,
            Piece::Archived(result) => archived(importer, &result).await?,
            Piece::UserEnd | Piece::RoomEnd | Piece::NodesEnd => importer.end().await?,
        }
    }
    Ok(())
}

fn begin_room(
    importer: &mut Importer<'_>,
    jid: &str,
    created: Option<&str>,
    version: Option<&str>,
) -> bool {
    let Some((name, service)) = jid.split_once('@') else {
        importer.skip("rooms whose name is not allowed");
        return false;
    };
    let begun = importer.begin_room(name, service);
    if let Some(room) = importer.room().filter(|_| begun) {
        let created: Option<Timestamp> = created.and_then(|created| created.parse().ok());
        room.created = created.map(Timestamp::as_micros);
        room.version = version.and_then(|version| version.parse().ok());
    }
    begun
}

/// Takes a child of `<user/>`.
pub async fn part(importer: &mut Importer<'_>, part: &Element) -> anyhow::Result<()> {
    match (part.name(), part.ns()) {
        ("scram-credentials", ns::PIE_SCRAM) => match scram(part) {
            Some(keys) => importer.scram(keys),
            None => importer.skip("SCRAM keys that no client could use"),
        },
        ("query", ns::ROSTER) => {
            for item in part.children() {
                contact(importer, item).await?;
            }
        }
        ("query", ns::PRIVATE) => {
            for item in part.children() {
                let (namespace, name) = (item.ns().to_owned(), item.name().to_owned());
                importer.document(DocumentKey::Private { namespace, name }, item).await?;
            }
        }
        ("query", NS_PRIVACY) => privacy(importer, part).await?,
        ("blocklist", ns::BLOCKING) => match Blocking::parse(part) {
            Ok(Blocking::List(jids)) => importer.block(jids.iter().map(|jid| jid.as_str())).await?,
            _ => importer.skip("block lists that cannot be read"),
        },
        ("vCard", ns::VCARD_TEMP) => importer.document(DocumentKey::VCardTemp, part).await?,
        ("vcard", NS_VCARD4) => {
            let node = ns::VCARD4_NODE;
            let item = Item { node, id: "current", publisher: None, payload: Some(part) };
            eventing::import_item(importer, &item).await?;
        }
        ("pubsub", ns::PUBSUB_OWNER) => eventing::import_nodes(importer, part).await?,
        ("pubsub", ns::PUBSUB) => eventing::import_items(importer, part).await?,
        ("presence", ns::CLIENT) if part.attr("type") == Some("subscribe") => {
            importer.request(part.clone()).await?;
        }
        ("prefs", ns::MAM) => match preferences(part) {
            Some(prefs) => importer.preferences(&prefs).await?,
            None => importer.skip("archiving preferences that cannot be read"),
        },
        ("account", NS_ACCOUNT) => importer.profile(|known| *known = profile(part)),
        (name, namespace) => importer.skip(format!("<{name} xmlns='{namespace}'/>")),
    }
    Ok(())
}

/// Section 4.3.
fn scram(part: &Element) -> Option<ScramKeys> {
    let text = |name: &str| Some(part.child(name, ns::PIE_SCRAM)?.text().trim().to_owned());
    let key = |name: &str| encoding::decode(&text(name)?, MAX_KEY).ok();
    let mechanism = part.attr("mechanism")?.to_owned();
    let keys = ScramKeys {
        salt: key("salt")?,
        iterations: text("iter-count")?.parse().ok()?,
        stored_key: key("stored-key")?,
        server_key: key("server-key")?,
        mechanism,
    };
    Some(encoded_once(&keys).unwrap_or(keys))
}

/// COMPAT: ejabberd writes its keys, which it keeps in base64, in base64 once more. Such a key has the length
/// of no hash.
fn encoded_once(keys: &ScramKeys) -> Option<ScramKeys> {
    let hash = ScramHash::ALL.into_iter().find(|hash| hash.mechanism_name() == keys.mechanism)?;
    let again = |key: &[u8]| encoding::decode(str::from_utf8(key).ok()?, MAX_KEY).ok();
    let stored_key = again(&keys.stored_key).filter(|key| key.len() == hash.output_len())?;
    Some(ScramKeys {
        mechanism: keys.mechanism.clone(),
        salt: again(&keys.salt)?,
        iterations: keys.iterations,
        stored_key,
        server_key: again(&keys.server_key)?,
    })
}

fn preferences(part: &Element) -> Option<ArchivePrefs> {
    let prefs = MamPrefs::parse(part).ok()?;
    let addresses = |jids: &[Jid]| jids.iter().map(Jid::to_string).collect();
    Some(ArchivePrefs {
        default: prefs.default.as_str().parse().ok()?,
        always: addresses(&prefs.always),
        never: addresses(&prefs.never),
    })
}

async fn contact(importer: &mut Importer<'_>, item: &Element) -> anyhow::Result<()> {
    let alone = Element::new("query", ns::ROSTER).with_child(item.clone());
    let read = Roster::parse(&alone).ok().and_then(|roster| roster.items.into_iter().next());
    let Some(item) = read.filter(|item| item.check().is_ok()) else {
        importer.skip("contacts that cannot be read");
        return Ok(());
    };
    let subscription = match item.subscription {
        roster::Subscription::None => Subscription::None,
        roster::Subscription::To => Subscription::To,
        roster::Subscription::From => Subscription::From,
        roster::Subscription::Both => Subscription::Both,
        roster::Subscription::Remove => return Ok(()),
    };
    let item = RosterItem {
        jid: item.jid.to_string(),
        name: item.name,
        groups: item.groups,
        subscription,
        ask: item.ask,
        approved: item.approved,
    };
    importer.contact(item).await
}

/// Of privacy lists (XEP-0016) what a block list can say: whom the default list denies.
async fn privacy(importer: &mut Importer<'_>, query: &Element) -> anyhow::Result<()> {
    let default = query.child("default", NS_PRIVACY).and_then(|default| default.attr("name"));
    for list in query.children().filter(|list| list.is("list", NS_PRIVACY)) {
        if default.is_none() || list.attr("name") != default {
            importer.skip("privacy lists that are not the default");
            continue;
        }
        let plain = |item: &&Element| item.children().next().is_none();
        let denies = |item: &&Element| item.attr("action") == Some("deny");
        let of_jid = |item: &&Element| item.attr("type") == Some("jid") && plain(item);
        let jids = list.children().filter(|item| denies(item) && of_jid(item));
        importer.block(jids.filter_map(|item| item.attr("value"))).await?;
        for _ in list.children().filter(|item| denies(item) && !of_jid(item)) {
            importer.skip("privacy rules that blocking cannot express");
        }
    }
    Ok(())
}

fn profile(part: &Element) -> Profile {
    let text = |name: &str| part.attr(name).map(str::to_owned);
    let left = part.attr("last-online").and_then(|last| last.parse().ok());
    Profile {
        last: left.map(|at| LastActivity { at, status: text("last-status") }),
        role: part.attr("role").and_then(|role| role.parse().ok()).unwrap_or_default(),
        status: part.attr("status").and_then(|status| status.parse().ok()).unwrap_or_default(),
        created: part.attr("created").and_then(|created| created.parse().ok()),
        display_name: text("display-name"),
        email: text("email"),
    }
}

/// A message that waits, with the time when it came.
pub async fn offline(importer: &mut Importer<'_>, mut message: Element) -> anyhow::Result<()> {
    let time = message.children().find_map(|child| Delay::parse(child).ok());
    let time = time.map_or_else(|| Clock::System.now(), |delay| delay.stamp);
    // It gets a new one when it is delivered.
    message.retain_children(|child| {
        Delay::parse(child).map_or(true, |delay| delay.stamp != time || delay.from.is_none())
    });
    importer.offline(message, time).await
}

async fn archived(importer: &mut Importer<'_>, result: &Element) -> anyhow::Result<()> {
    let forwarded = result.child("forwarded", ns::FORWARD);
    let message = forwarded.and_then(|forwarded| forwarded.child("message", ns::CLIENT));
    let delay = forwarded.and_then(|forwarded| forwarded.child("delay", ns::DELAY));
    let time: Option<Timestamp> = delay.and_then(|delay| Delay::parse(delay).ok()).map(|d| d.stamp);
    match (message, time) {
        (Some(message), Some(time)) => {
            importer.archived(message.clone(), time, result.attr("id")).await
        }
        _ => {
            importer.skip("archived messages that cannot be read");
            Ok(())
        }
    }
}
