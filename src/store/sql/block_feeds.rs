use async_trait::async_trait;

use super::{Connection, Database};
use crate::{BlockFeed, BlockFeeds, StoreError};

const ITEMS: &str = "SELECT item FROM listed_item WHERE service = $1 AND node = $2";
const FEEDS: &str = "SELECT DISTINCT service, node FROM listed_item";
const ADD: &str = "INSERT INTO listed_item (service, node, item) VALUES ($1, $2, $3)
    ON CONFLICT (service, node, item) DO NOTHING";
const REMOVE: &str = "DELETE FROM listed_item WHERE service = $1 AND node = $2 AND item = $3";
const CLEAR: &str = "DELETE FROM listed_item WHERE service = $1 AND node = $2";

#[async_trait]
impl BlockFeeds for Database {
    async fn items(&self, feed: &BlockFeed) -> Result<Vec<String>, StoreError> {
        let mut conn = self.read().await?;
        let query = sqlx::query_scalar(ITEMS).bind(&feed.service).bind(&feed.node);
        Ok(query.fetch_all(&mut *conn).await?)
    }

    async fn replace(&self, feed: &BlockFeed, items: &[String]) -> Result<(), StoreError> {
        let (feed, items) = (feed.clone(), items.to_vec());
        self.write(move |conn| {
            Box::pin(async move {
                let clear = sqlx::query(CLEAR).bind(&feed.service).bind(&feed.node);
                clear.execute(&mut *conn).await?;
                apply(conn, ADD, &feed, &items).await
            })
        })
        .await
    }

    async fn change(
        &self,
        feed: &BlockFeed,
        added: &[String],
        removed: &[String],
    ) -> Result<(), StoreError> {
        let (feed, added, removed) = (feed.clone(), added.to_vec(), removed.to_vec());
        self.write(move |conn| {
            Box::pin(async move {
                apply(conn, REMOVE, &feed, &removed).await?;
                apply(conn, ADD, &feed, &added).await
            })
        })
        .await
    }

    async fn keep_only(&self, feeds: &[BlockFeed]) -> Result<(), StoreError> {
        let feeds = feeds.to_vec();
        self.write(move |conn| {
            Box::pin(async move {
                let known: Vec<(String, String)> =
                    sqlx::query_as(FEEDS).fetch_all(&mut *conn).await?;
                for (service, node) in known {
                    let feed = BlockFeed { service, node };
                    if !feeds.contains(&feed) {
                        let clear = sqlx::query(CLEAR).bind(feed.service).bind(feed.node);
                        clear.execute(&mut *conn).await?;
                    }
                }
                Ok(())
            })
        })
        .await
    }
}

async fn apply(
    conn: &mut Connection,
    statement: &'static str,
    feed: &BlockFeed,
    items: &[String],
) -> Result<(), StoreError> {
    for item in items {
        let query = sqlx::query(statement).bind(&feed.service).bind(&feed.node).bind(item);
        query.execute(&mut *conn).await?;
    }
    Ok(())
}
