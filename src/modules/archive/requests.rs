//! Queries, metadata and preferences (XEP-0313, sections 4 and 6; XEP-0441).

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::hooks::{BindInline, IqAnswer, IqHandler, IqRequest, Request};
use wello_kernel::sessions::Session;
use wello_store::{Anchor, ArchiveDefault, ArchivePrefs, ArchivedMessage, Query, QueryError};
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::delay::Delay;
use wello_wire::payload::forward::Forwarded;
use wello_wire::payload::mam::{
    ArchiveDefault as WireDefault, MamEdge, MamFin, MamMetadata, MamPrefs, MamQuery, MamResult,
};
use wello_wire::payload::rsm::{PageBounds, PageResult};
use wello_wire::stanza::Stanza;
use wello_wire::xml::Element;

use super::Archive;

/// Addresses on one of the two lists of preferences.
const MAX_LISTED: usize = 500;

#[async_trait]
impl IqHandler for Archive {
    async fn handle(
        &self,
        kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        let session = request.own_session()?;
        match (request.request, request.payload.name()) {
            (Request::Get, "query") => Ok(MamQuery::fields().into()),
            (Request::Set, "query") => answer_query(kernel, session, &request).await,
            (Request::Get, "metadata") => Ok(metadata(kernel, &request.to).await?.into()),
            (Request::Get, "prefs") => self.get_prefs(kernel, &request.to).await,
            (Request::Set, "prefs") => {
                let prefs = MamPrefs::parse(request.payload)?;
                self.set_prefs(kernel, &request.to, prefs).await
            }
            _ => Err(StanzaError::bad_request("no such archive request")),
        }
    }
}

async fn answer_query(
    kernel: &Arc<Kernel>,
    session: &Arc<Session>,
    request: &IqRequest<'_>,
) -> Result<IqAnswer, StanzaError> {
    let asked = MamQuery::parse(request.payload)?;
    let (messages, fin) = query_page(kernel, &request.to, &asked).await?;
    for message in &messages {
        let to = &session.jid;
        if let Some(result) = forwarded(message, &asked, &request.to, to, |_| {}) {
            session.reply(result);
        }
    }
    Ok(fin.to_element().into())
}

/// One page of an archive, in the order in which it is sent, and what is said at its end.
pub(crate) async fn query_page(
    kernel: &Kernel,
    owner: &BareJid,
    asked: &MamQuery,
) -> Result<(Vec<ArchivedMessage>, MamFin), StanzaError> {
    if asked.node.is_some() {
        return Err(StanzaError::item_not_found("no such node"));
    }
    let config = &kernel.config.archive;
    let max = asked.page.max.unwrap_or(config.page_size).min(config.page_max);
    let query = to_store(owner, asked, max)?;
    let page = kernel.store.archive.query(&query).await.map_err(|error| match error {
        QueryError::ItemNotFound(id) => StanzaError::item_not_found(format!("no message {id}")),
        QueryError::Store(error) => store_failed(&error),
    })?;
    let bounds = page.first().zip(page.last()).map(|(first, last)| PageBounds {
        first: first.to_string(),
        index: None,
        last: last.to_string(),
    });
    let fin = MamFin {
        complete: page.complete,
        stable: true,
        page: PageResult {
            bounds,
            count: page.count.map(|count| u32::try_from(count).unwrap_or(u32::MAX)),
        },
    };
    let mut messages = page.messages;
    if asked.flip_page {
        messages.reverse();
    }
    Ok((messages, fin))
}

fn to_store(owner: &BareJid, asked: &MamQuery, max: u32) -> Result<Query, StanzaError> {
    let id = |text: &String| {
        text.parse().map_err(|_| StanzaError::item_not_found(format!("no message {text:?}")))
    };
    let opt = |text: &Option<String>| text.as_ref().map(id).transpose();
    let filter = &asked.filter;
    let page = &asked.page;
    let mut after_id = opt(&filter.after_id)?;
    let anchor = match (page.backwards, opt(&page.before)?, opt(&page.after)?) {
        (true, Some(before), after) => {
            // Both bounds at once: the other one narrows the query.
            after_id = after.or(after_id);
            Anchor::Before(before)
        }
        (true, None, after) => {
            after_id = after.or(after_id);
            Anchor::Last
        }
        (false, _, Some(after)) => Anchor::After(after),
        (false, _, None) => Anchor::First,
    };
    Ok(Query {
        owner: owner.to_string(),
        with: filter.with.as_ref().map(Jid::to_string),
        start: filter.start,
        end: filter.end,
        after_id,
        before_id: opt(&filter.before_id)?,
        ids: filter.ids.iter().map(id).collect::<Result<_, _>>()?,
        text: filter.text.clone().filter(|text| !text.trim().is_empty()),
        anchor,
        max,
        // Counting visits every result: only for those who ask for nothing else.
        count: max == 0,
    })
}

/// A message out of the archive of `owner` for somebody who asked; `edit` takes out what is not
/// for them.
pub(crate) fn forwarded(
    message: &ArchivedMessage,
    asked: &MamQuery,
    owner: &BareJid,
    to: &Jid,
    edit: impl FnOnce(&mut Element),
) -> Option<Stanza> {
    let stanza = String::from_utf8_lossy(&message.stanza).parse::<Element>();
    let stanza = stanza
        .inspect_err(
            |error| tracing::error!(id = %message.id, %error, "archived message is damaged"),
        )
        .ok();
    let mut stanza = stanza?;
    edit(&mut stanza);
    let result = MamResult {
        query_id: asked.query_id.clone(),
        id: message.id.to_string(),
        forwarded: Forwarded { delay: Some(Delay::by(message.time, owner.clone())), stanza },
    };
    let message = Stanza::new(wello_wire::stanza::Kind::Message)
        .with_from(owner.clone())
        .with_to(to.clone())
        .with_child(result.to_element());
    Some(message)
}

/// Section 4.4: the two ends of the archive.
pub(crate) async fn metadata(kernel: &Kernel, owner: &BareJid) -> Result<Element, StanzaError> {
    let bounds = kernel.store.archive.bounds(owner.as_str()).await;
    let bounds = bounds.map_err(|error| store_failed(&error))?;
    let edge =
        |(id, timestamp): (wello_store::ArchiveId, _)| MamEdge { id: id.to_string(), timestamp };
    let edges = bounds.map(|bounds| (edge(bounds.first), edge(bounds.last)));
    Ok(MamMetadata { edges }.to_element())
}

impl Archive {
    async fn get_prefs(
        &self,
        kernel: &Arc<Kernel>,
        owner: &BareJid,
    ) -> Result<IqAnswer, StanzaError> {
        let prefs = self.prefs(kernel, owner).await;
        let prefs = match prefs.as_deref() {
            None => MamPrefs {
                default: match kernel.config.archive.policy {
                    wello_kernel::config::ArchivePolicy::Always => WireDefault::Always,
                    wello_kernel::config::ArchivePolicy::Roster => WireDefault::Roster,
                    wello_kernel::config::ArchivePolicy::Never => WireDefault::Never,
                },
                always: Vec::new(),
                never: Vec::new(),
            },
            Some(prefs) => MamPrefs {
                default: match prefs.default {
                    ArchiveDefault::Always => WireDefault::Always,
                    ArchiveDefault::Roster => WireDefault::Roster,
                    ArchiveDefault::Never => WireDefault::Never,
                },
                always: prefs.always.iter().filter_map(|jid| jid.parse().ok()).collect(),
                never: prefs.never.iter().filter_map(|jid| jid.parse().ok()).collect(),
            },
        };
        Ok(prefs.to_element().into())
    }

    async fn set_prefs(
        &self,
        kernel: &Arc<Kernel>,
        owner: &BareJid,
        wanted: MamPrefs,
    ) -> Result<IqAnswer, StanzaError> {
        if wanted.always.len() > MAX_LISTED || wanted.never.len() > MAX_LISTED {
            return Err(StanzaError::policy_violation("too many addresses"));
        }
        let texts = |jids: &[Jid]| jids.iter().map(Jid::to_string).collect();
        let prefs = ArchivePrefs {
            default: match wanted.default {
                WireDefault::Always => ArchiveDefault::Always,
                WireDefault::Roster => ArchiveDefault::Roster,
                WireDefault::Never => ArchiveDefault::Never,
            },
            always: texts(&wanted.always),
            never: texts(&wanted.never),
        };
        let stored = kernel.store.archive.set_prefs(owner.as_str(), &prefs).await;
        stored.map_err(|error| store_failed(&error))?;
        self.remember(owner, Some(Arc::new(prefs)));
        Ok(wanted.to_element().into())
    }
}

/// XEP-0386: a client that has just come learns how far it is behind.
#[async_trait]
impl BindInline for Archive {
    fn features(&self) -> Vec<&'static str> {
        vec![ns::MAM]
    }

    async fn bound(
        &self,
        kernel: &Arc<Kernel>,
        session: &Arc<Session>,
        _request: &[Element],
    ) -> Vec<Element> {
        metadata(kernel, &session.bare()).await.into_iter().collect()
    }
}

fn store_failed(error: &wello_store::StoreError) -> StanzaError {
    tracing::error!(%error, "archive not reached");
    StanzaError::internal_server_error("")
}
