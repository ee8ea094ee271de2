//! Reads lists of others, and has their changes told to us (XEP-0060, sections 6.1 and 6.5).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use wello_kernel::Kernel;
use wello_store::StoreError;
use wello_wire::error::StanzaError;
use wello_wire::jid::Jid;
use wello_wire::ns;
use wello_wire::payload::rsm::PageRequest;
use wello_wire::stanza::{IqType, Stanza};
use wello_wire::xml::Element;

use super::feed::Feed;

/// How long a service may take for one answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Items of one answer: it has to fit into a stanza of another server.
const PAGE: u32 = 500;
/// Answers that are read of one list.
const MAX_PAGES: usize = 1000;

/// Why a list is not known as it is now.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error("no answer")]
    Silence,
    #[error("refused: {0}")]
    Refused(String),
    #[error("the answer is no list")]
    NoList,
    #[error("it changes faster than it can be read")]
    Restless,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Asks to be told of changes, then reads the whole list: in this order nothing is lost in between.
pub(super) async fn follow(kernel: &Arc<Kernel>, feed: &Feed) {
    feed.begin();
    let read = read(kernel, feed).await;
    let succeeded = match read {
        Ok(count) => {
            tracing::info!(service = %feed.service, node = feed.id.node, count, "block list read");
            true
        }
        Err(error) => {
            let node = &feed.id.node;
            tracing::warn!(service = %feed.service, node, %error, "block list not read");
            false
        }
    };
    for change in feed.end(succeeded, kernel.clock.now()) {
        super::store(kernel, feed, &change).await;
    }
}

async fn read(kernel: &Arc<Kernel>, feed: &Feed) -> Result<usize, Failure> {
    let us = us(kernel).ok_or(Failure::Silence)?;
    let subscribe = Element::new("subscribe", ns::PUBSUB)
        .with_attr("node", feed.id.node.as_str())
        .with_attr("jid", us.as_str());
    ask(kernel, feed, &us, IqType::Set, [subscribe]).await?;
    let mut items = HashSet::new();
    let mut after = None;
    for _ in 0..MAX_PAGES {
        let page = PageRequest { max: Some(PAGE), after: after.take(), ..PageRequest::default() };
        let (new, last) = read_page(kernel, feed, &us, &page).await?;
        let before = items.len();
        items.extend(new);
        // Who knows no pages gives all of it at once, and again.
        match last {
            Some(last) if items.len() > before => after = Some(last),
            _ => break,
        }
    }
    let now_listed = feed.replace(items).ok_or(Failure::Restless)?;
    kernel.store.block_feeds.replace(&feed.id, &now_listed).await?;
    Ok(now_listed.len())
}

/// The items of a page, and what the next one comes after if there is one.
async fn read_page(
    kernel: &Arc<Kernel>,
    feed: &Feed,
    us: &Jid,
    page: &PageRequest,
) -> Result<(Vec<String>, Option<String>), Failure> {
    let wanted = Element::new("items", ns::PUBSUB).with_attr("node", feed.id.node.as_str());
    let answer = ask(kernel, feed, us, IqType::Get, [wanted, page.to_element()]).await?;
    let pubsub = answer.child("pubsub", ns::PUBSUB).ok_or(Failure::NoList)?;
    let items = pubsub.child("items", ns::PUBSUB).ok_or(Failure::NoList)?;
    let last = pubsub.child("set", ns::RSM).and_then(|set| set.child("last", ns::RSM));
    let last = last.map(|last| last.text().into_owned()).filter(|last| !last.is_empty());
    Ok((feed.ids(items, "item", ns::PUBSUB), last))
}

async fn ask(
    kernel: &Arc<Kernel>,
    feed: &Feed,
    us: &Jid,
    type_: IqType,
    children: impl IntoIterator<Item = Element>,
) -> Result<Stanza, Failure> {
    let payload = Element::new("pubsub", ns::PUBSUB).with_children(children);
    let service = feed.service.clone().into();
    let answer = kernel.ask(us.clone(), service, type_, payload, PATIENCE).await;
    let answer = answer.ok_or(Failure::Silence)?;
    if answer.is_error() {
        let error = answer.child("error", ns::CLIENT).map(StanzaError::from_element);
        let condition = error.map(|error| format!("{:?}", error.condition));
        return Err(Failure::Refused(condition.unwrap_or_default()));
    }
    Ok(answer)
}

/// The address under which this server follows lists.
fn us(kernel: &Kernel) -> Option<Jid> {
    kernel.config.domains().first()?.parse().ok()
}
