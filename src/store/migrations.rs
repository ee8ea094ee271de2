use sqlx::SqlSafeStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

use crate::StoreError;

/// Number, name and text of a migration.
type Script = (i64, &'static str, &'static str);

pub(crate) const SQLITE: &[Script] = &[
    (1, "initial", include_str!("../../migrations/sqlite/0001_initial.sql")),
    (2, "account email", include_str!("../../migrations/sqlite/0002_account_email.sql")),
    (3, "offline archive id", include_str!("../../migrations/sqlite/0003_offline_archive_id.sql")),
    (4, "pubsub", include_str!("../../migrations/sqlite/0004_pubsub.sql")),
    (5, "rooms", include_str!("../../migrations/sqlite/0005_rooms.sql")),
    (6, "uploads", include_str!("../../migrations/sqlite/0006_uploads.sql")),
    (7, "push", include_str!("../../migrations/sqlite/0007_push.sql")),
    (8, "push devices", include_str!("../../migrations/sqlite/0008_push_devices.sql")),
    (9, "privacy", include_str!("../../migrations/sqlite/0009_privacy.sql")),
    (
        10,
        "subscription options",
        include_str!("../../migrations/sqlite/0010_subscription_options.sql"),
    ),
    (11, "audit and lists", include_str!("../../migrations/sqlite/0011_audit_and_lists.sql")),
    (12, "lookalikes", include_str!("../../migrations/sqlite/0012_lookalikes.sql")),
];

pub(crate) const POSTGRES: &[Script] = &[
    (1, "initial", include_str!("../../migrations/postgres/0001_initial.sql")),
    (2, "account email", include_str!("../../migrations/postgres/0002_account_email.sql")),
    (
        3,
        "offline archive id",
        include_str!("../../migrations/postgres/0003_offline_archive_id.sql"),
    ),
    (4, "pubsub", include_str!("../../migrations/postgres/0004_pubsub.sql")),
    (5, "rooms", include_str!("../../migrations/postgres/0005_rooms.sql")),
    (6, "uploads", include_str!("../../migrations/postgres/0006_uploads.sql")),
    (7, "push", include_str!("../../migrations/postgres/0007_push.sql")),
    (8, "push devices", include_str!("../../migrations/postgres/0008_push_devices.sql")),
    (9, "privacy", include_str!("../../migrations/postgres/0009_privacy.sql")),
    (
        10,
        "subscription options",
        include_str!("../../migrations/postgres/0010_subscription_options.sql"),
    ),
    (11, "audit and lists", include_str!("../../migrations/postgres/0011_audit_and_lists.sql")),
    (12, "lookalikes", include_str!("../../migrations/postgres/0012_lookalikes.sql")),
];

pub(crate) fn migrator(scripts: &[Script]) -> Migrator {
    let migrations = scripts.iter().map(|&(version, name, sql)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}

/// What a failed migration means.
pub(crate) fn failure(scripts: &[Script], error: MigrateError) -> StoreError {
    let known = scripts.last().map_or(0, |(version, ..)| *version);
    match error {
        MigrateError::VersionMissing(found) if found > known => {
            StoreError::NewerSchema { found, known }
        }
        MigrateError::Execute(error) => error.into(),
        other => StoreError::Migration(other.to_string()),
    }
}
