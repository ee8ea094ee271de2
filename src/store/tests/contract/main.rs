//! What every database promises, as one set of test bodies that runs on each of them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod accounts;
mod archive;
mod archive_search;
mod clients;
mod fixture;
mod offline;
mod owned;
mod paging;
mod privacy;
mod pubsub;
mod push;
mod rooms;
mod roster;
mod schema;
mod small;
mod sqlite_only;
mod tokens;
mod uploads;

/// Makes tests of test bodies, one for each database.
macro_rules! on_each_database {
    ($($module:ident { $($test:ident),+ $(,)? })+) => {
        mod on_sqlite {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    let database = crate::fixture::sqlite().await;
                    crate::$module::$test(&database).await;
                    database.finish().await;
                })+
            })+
        }

        mod on_postgres {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    if let Some(database) = crate::fixture::postgres().await {
                        crate::$module::$test(&database).await;
                        database.finish().await;
                    }
                })+
            })+
        }
    };
}

on_each_database! {
    accounts {
        created_found_and_counted,
        names_are_unique_and_tombstoned,
        tombstones_are_forgotten,
        names_that_look_alike,
        credentials_are_replaced_and_counted,
        listed_in_pages,
        searched,
        found_by_email,
        changed,
    }
    archive {
        appended_and_read_back,
        tickets_are_done_in_order,
        concurrent_appends_are_all_there,
        a_bad_entry_fails_alone,
        batches_are_reported,
        narrowed_by_peer,
        narrowed_by_time_and_ids,
        unknown_ids_are_not_found,
        bounds_are_the_ends,
        found_and_retracted,
        expired_in_pieces,
        purged_archives_are_empty_and_their_space_is_freed,
        preferences_are_kept,
        ids_go_on_after_reopening,
    }
    archive_search {
        words_are_found_before_and_after_indexing,
        retracted_and_expired_words_are_gone,
        foreign_archives_are_not_searched,
    }
    clients {
        seen_listed_and_revoked,
        fast_tokens_rotate,
        fast_counters_only_grow,
        fast_counters_begin_anew_with_a_token,
    }
    offline {
        delivered_in_order_and_removed,
        shared_with_the_archive,
        expired,
    }
    owned {
        deleting_an_account_leaves_nothing,
    }
    paging {
        pages_forwards_and_backwards_are_all,
    }
    privacy {
        choices,
        strangers,
        vcards_become_items,
    }
    pubsub {
        nodes,
        affiliations,
        subscriptions,
        subscription_options,
        items_are_kept_in_the_order_of_publication,
        items_are_read_in_pages,
        bytes_are_limited_for_each_creator,
    }
    push {
        enabled_and_disabled,
        devices_keep_their_node,
        endpoints_keep_their_token_until_they_expire,
    }
    rooms {
        rooms_are_made_changed_and_destroyed,
        older_changes_of_rooms_come_too_late,
        rooms_are_listed_in_pages_by_domain,
        affiliations_are_found_and_pruned,
    }
    roster {
        changed_with_versions,
        conflicting_changes_are_refused,
        changes_since_a_version,
        removals_are_forgotten_at_last,
        concurrent_changes_get_versions_of_their_own,
        requests_wait_in_order,
    }
    small {
        audit,
        block_feeds,
        blocking,
        documents,
        last,
        meta,
        caps,
        reports,
        sessions,
        closed_stores_say_so,
        data_outlives_closing,
        newer_schemas_are_refused,
    }
    tokens {
        refresh_tokens_rotate_and_reuse_is_noticed,
        refresh_tokens_are_used_once,
        refresh_tokens_expire,
        invites_are_redeemed,
        invites_are_not_redeemed_too_often,
        invites_expire_and_are_listed,
    }
    uploads {
        stored_once_and_shared,
        quotas_of_day_and_account,
        slots_that_wait_are_few,
        old_profiles_give_way,
        uploads_expire,
    }
}
