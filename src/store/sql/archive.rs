use async_trait::async_trait;
use bytes::Bytes;

use super::prefs::{prefs, set_prefs};
use super::{Database, maintain, query};
use crate::column::{bare, peer_hash};
use crate::shape::{Shape, named_ids};
use crate::{
    Archive, ArchiveBounds, ArchiveId, ArchivePrefs, ArchiveStats, ArchivedMessage, Entry,
    MessageRef, Page, Query, QueryError, StoreError, Ticket, Timestamp,
};

#[async_trait]
impl Archive for Database {
    async fn append(&self, entry: Entry) -> Result<Ticket, StoreError> {
        self.queue().append(entry).await
    }

    async fn query(&self, wanted: &Query) -> Result<Page, QueryError> {
        self.queue().settled().await;
        let mut conn = self.read().await?;
        let named = named_ids(wanted);
        let Some(owner) = query::owner(&mut conn, &wanted.owner).await? else {
            return match named.first() {
                Some(id) => Err(QueryError::ItemNotFound(ArchiveId::from_i64(*id))),
                None => Ok(empty(wanted)),
            };
        };
        if !named.is_empty()
            && let Some(id) = query::unknown(&mut conn, owner, &named).await?
        {
            return Err(QueryError::ItemNotFound(ArchiveId::from_i64(id)));
        }
        let Some(text) = query::text(&mut conn, owner, wanted.text.as_deref()).await? else {
            return Ok(empty(wanted));
        };
        let shape = Shape::of(wanted);
        // One more than the page tells whether it is the last one.
        let limit = i64::from(wanted.max) + 1;
        let mut messages = query::page(&mut conn, owner, &shape, &text, limit).await?;
        let complete = messages.len() <= wanted.max as usize;
        messages.truncate(wanted.max as usize);
        if shape.backwards {
            messages.reverse();
        }
        let count = match wanted.count {
            true => Some(query::count(&mut conn, owner, &shape, &text).await?),
            false => None,
        };
        Ok(Page { messages, complete, count })
    }

    async fn bounds(&self, owner: &str) -> Result<Option<ArchiveBounds>, StoreError> {
        self.queue().settled().await;
        let mut conn = self.read().await?;
        let Some(owner) = query::owner(&mut conn, owner).await? else {
            return Ok(None);
        };
        let ends = query::ends(&mut conn, owner).await?;
        Ok(ends.map(|[first, last]| ArchiveBounds { first, last }))
    }

    async fn find(
        &self,
        owner: &str,
        which: &MessageRef,
    ) -> Result<Option<ArchivedMessage>, StoreError> {
        self.queue().settled().await;
        let mut conn = self.read().await?;
        let Some(owner) = query::owner(&mut conn, owner).await? else {
            return Ok(None);
        };
        match which {
            MessageRef::Archive(id) => query::one(&mut conn, owner, id.as_i64()).await,
            MessageRef::Sent { with, by, id } => {
                query::sent(&mut conn, owner, peer_hash(bare(with)), by, id).await
            }
        }
    }

    async fn retract(
        &self,
        owner: &str,
        id: ArchiveId,
        tombstone: &Bytes,
    ) -> Result<bool, StoreError> {
        // What is in the queue must be in the archive before it can be taken out.
        self.queue().settled().await;
        let (owner, tombstone) = (owner.to_owned(), tombstone.clone());
        self.write(move |conn| {
            Box::pin(async move {
                match query::owner(conn, &owner).await? {
                    Some(owner) => query::retract(conn, owner, id.as_i64(), &tombstone).await,
                    None => Ok(false),
                }
            })
        })
        .await
    }

    async fn prefs(&self, owner: &str) -> Result<Option<ArchivePrefs>, StoreError> {
        let mut conn = self.read().await?;
        prefs(&mut conn, owner).await
    }

    async fn set_prefs(&self, owner: &str, prefs: &ArchivePrefs) -> Result<(), StoreError> {
        let (owner, prefs) = (owner.to_owned(), prefs.clone());
        self.write(move |conn| Box::pin(async move { set_prefs(conn, &owner, &prefs).await })).await
    }

    async fn expire(
        &self,
        owner: Option<&str>,
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let owner = owner.map(str::to_owned);
        let before = ArchiveId::at(before).as_i64();
        self.write(move |conn| {
            Box::pin(async move { maintain::expire(conn, owner.as_deref(), before, limit).await })
        })
        .await
    }

    async fn purge(&self, owner: &str) -> Result<(), StoreError> {
        self.queue().settled().await;
        let owner = owner.to_owned();
        self.write(move |conn| Box::pin(async move { maintain::purge(conn, &owner).await })).await
    }

    async fn stats(&self, owner: Option<&str>) -> Result<ArchiveStats, StoreError> {
        self.queue().settled().await;
        let mut conn = self.read().await?;
        let Some(owner) = owner else {
            return query::size(&mut conn, None).await;
        };
        match query::owner(&mut conn, owner).await? {
            Some(owner) => query::size(&mut conn, Some(owner)).await,
            None => Ok(ArchiveStats::default()),
        }
    }

    async fn maintain(&self) -> Result<bool, StoreError> {
        self.piece_of_work().await
    }
}

fn empty(wanted: &Query) -> Page {
    Page { messages: Vec::new(), complete: true, count: wanted.count.then_some(0) }
}
