//! `wello audit`: what administrators, the operator and the server itself did to whom.

use std::time::Duration;

use wello_kernel::audit::{AuditOutcome, record_command};
use wello_kernel::clock::Clock;
use wello_kernel::config::Config;
use wello_store::{AuditEntry, Store};

use crate::cli::AuditOptions;
use crate::serve::open_store;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Prints the newest entries, the latest last.
pub async fn run(config: &Config, options: &AuditOptions) -> anyhow::Result<()> {
    let store = open_store(config, None).await?;
    let since = Clock::System.now().saturating_sub(DAY * options.days);
    let listed = store.audit.list(since, None, options.limit).await;
    store.close().await;
    for (_, entry) in listed?.into_iter().rev() {
        println!("{}", line(&entry));
    }
    Ok(())
}

fn line(entry: &AuditEntry) -> String {
    let AuditEntry { time, actor, origin, action, target, outcome } = entry;
    let given = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let (origin, target) = (given(origin), given(target));
    format!("{time}\t{actor}\t{origin}\t{action}\t{target}\t{outcome}")
}

/// Writes down what a command did or failed to do. That it was done stays true if this fails, but
/// whoever ran it is told.
pub async fn record<T>(
    store: &Store,
    action: &str,
    target: &str,
    done: anyhow::Result<T>,
) -> anyhow::Result<T> {
    let outcome = match &done {
        Ok(_) => AuditOutcome::Done,
        Err(error) => AuditOutcome::Failed(format!("{error:#}")),
    };
    let recorded = record_command(store, Clock::System.now(), action, target, &outcome).await;
    if let Err(error) = recorded {
        eprintln!("wello: not written into the audit log: {error}");
    }
    done
}

#[cfg(test)]
mod tests {
    use wello_store::Timestamp;

    use super::*;

    #[test]
    fn a_line_has_all_fields() {
        let entry = AuditEntry {
            time: Timestamp::from_secs(0),
            actor: "server".to_owned(),
            origin: String::new(),
            action: "strangers".to_owned(),
            target: "a@b".to_owned(),
            outcome: "refused: Hour".to_owned(),
        };
        assert_eq!(line(&entry), "1970-01-01T00:00:00Z\tserver\t-\tstrangers\ta@b\trefused: Hour");
    }
}
