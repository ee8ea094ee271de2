use super::Connection;
use crate::column::{from_list, to_list};
use crate::{ArchivePrefs, StoreError};

const GET: &str = "SELECT policy, always, never FROM archive_prefs WHERE owner = $1";
const SET: &str = "INSERT INTO archive_prefs (owner, policy, always, never) VALUES ($1, $2, $3, $4)
    ON CONFLICT (owner) DO UPDATE
    SET policy = excluded.policy, always = excluded.always, never = excluded.never";

pub(crate) async fn prefs(
    conn: &mut Connection,
    owner: &str,
) -> Result<Option<ArchivePrefs>, StoreError> {
    let row: Option<(String, String, String)> =
        sqlx::query_as(GET).bind(owner).fetch_optional(conn).await?;
    row.map(|(policy, always, never)| {
        Ok(ArchivePrefs {
            default: policy.parse()?,
            always: from_list(&always)?,
            never: from_list(&never)?,
        })
    })
    .transpose()
}

pub(crate) async fn set_prefs(
    conn: &mut Connection,
    owner: &str,
    prefs: &ArchivePrefs,
) -> Result<(), StoreError> {
    sqlx::query(SET)
        .bind(owner)
        .bind(prefs.default.as_str())
        .bind(to_list(&prefs.always))
        .bind(to_list(&prefs.never))
        .execute(conn)
        .await?;
    Ok(())
}
