use async_trait::async_trait;
use bytes::Bytes;

use super::Database;
use crate::{Report, ReportId, Reports, StoreError, Timestamp};

const APPEND: &str = "INSERT INTO report (reporter, reported, reason, text, evidence, time)
    VALUES ($1, $2, $3, $4, $5, $6) RETURNING id";
const LIST: &str = "SELECT id, reporter, reported, reason, text, evidence, time FROM report
    WHERE id < $1 ORDER BY id DESC LIMIT $2";
const REMOVE: &str = "DELETE FROM report WHERE id = $1";

type Row = (i64, String, String, String, Option<String>, Vec<u8>, i64);

#[async_trait]
impl Reports for Database {
    async fn append(&self, report: &Report) -> Result<ReportId, StoreError> {
        let report = report.clone();
        self.write(move |conn| {
            Box::pin(async move {
                let id = sqlx::query_scalar(APPEND)
                    .bind(report.reporter)
                    .bind(report.reported)
                    .bind(report.reason)
                    .bind(report.text)
                    .bind(report.evidence.to_vec())
                    .bind(report.time.as_micros())
                    .fetch_one(conn)
                    .await?;
                Ok(ReportId(id))
            })
        })
        .await
    }

    async fn list(
        &self,
        before: Option<ReportId>,
        limit: u32,
    ) -> Result<Vec<(ReportId, Report)>, StoreError> {
        let mut conn = self.read().await?;
        let rows: Vec<Row> = sqlx::query_as(LIST)
            .bind(before.map_or(i64::MAX, |id| id.0))
            .bind(i64::from(limit))
            .fetch_all(&mut *conn)
            .await?;
        Ok(rows.into_iter().map(report).collect())
    }

    async fn remove(&self, id: ReportId) -> Result<bool, StoreError> {
        self.write(move |conn| {
            Box::pin(async move {
                let removed = sqlx::query(REMOVE).bind(id.0).execute(conn).await?;
                Ok(removed.rows_affected() > 0)
            })
        })
        .await
    }
}

fn report((id, reporter, reported, reason, text, evidence, time): Row) -> (ReportId, Report) {
    let report = Report {
        reporter,
        reported,
        reason,
        text,
        evidence: Bytes::from(evidence),
        time: Timestamp::from_micros(time),
    };
    (ReportId(id), report)
}
