//! The log of what was done by those who have power over others.

use std::fmt;

use wello_store::{AuditEntry, Store, StoreError, Timestamp};
use wello_wire::jid::Jid;

use crate::Kernel;

/// Who did something.
#[derive(Clone, Copy, Debug)]
pub enum Actor<'a> {
    /// An account, by one of its sessions.
    Account(&'a Jid),
    /// Whoever runs commands on the server's machine.
    Operator,
    /// The server by itself, by a rule of its configuration.
    Server,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditOutcome {
    Done,
    Refused(String),
    Failed(String),
}

impl fmt::Display for AuditOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuditOutcome::Done => f.write_str("done"),
            AuditOutcome::Refused(reason) => write!(f, "refused: {reason}"),
            AuditOutcome::Failed(reason) => write!(f, "failed: {reason}"),
        }
    }
}

/// Characters of one field; the rest is cut off.
const MAX_FIELD: usize = 1000;
const COMMAND_LINE: &str = "command line";

/// Writes down what somebody at the command line did.
pub async fn record_command(
    store: &Store,
    now: Timestamp,
    action: &str,
    target: &str,
    outcome: &AuditOutcome,
) -> Result<(), StoreError> {
    let entry = entry(now, "operator".to_owned(), COMMAND_LINE.to_owned(), action, target, outcome);
    store.audit.append(&entry).await.map(drop)
}

impl Kernel {
    /// Writes down who did what to whom. What is done stays done if it cannot be written down, and the
    /// operator reads of that in the log.
    pub async fn audit(
        &self,
        actor: Actor<'_>,
        action: &str,
        target: &str,
        outcome: &AuditOutcome,
    ) {
        let (name, origin) = match actor {
            Actor::Account(jid) => (jid.bare_str().to_owned(), self.origin_of(jid)),
            Actor::Operator => ("operator".to_owned(), COMMAND_LINE.to_owned()),
            Actor::Server => ("server".to_owned(), String::new()),
        };
        tracing::info!(actor = name, origin, action, target, %outcome, "audit");
        let entry = entry(self.clock.now(), name, origin, action, target, outcome);
        if let Err(error) = self.store.audit.append(&entry).await {
            tracing::error!(%error, action, target, "not written into the audit log");
        }
    }

    /// The address of the connection that a session has.
    fn origin_of(&self, jid: &Jid) -> String {
        let address = self.sessions.find(jid).and_then(|session| session.info.address);
        address.map(|address| address.to_string()).unwrap_or_default()
    }
}

fn entry(
    time: Timestamp,
    actor: String,
    origin: String,
    action: &str,
    target: &str,
    outcome: &AuditOutcome,
) -> AuditEntry {
    AuditEntry {
        time,
        actor,
        origin,
        action: cut(action),
        target: cut(target),
        outcome: cut(&outcome.to_string()),
    }
}

/// In one line, so that nobody can write lines of others into what is printed of the log.
fn cut(text: &str) -> String {
    let one_line = |character: char| if character.is_control() { ' ' } else { character };
    text.chars().take(MAX_FIELD).map(one_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_short_and_of_one_line() {
        let forged = "a@b\n2026-01-01T00:00:00Z\toperator".repeat(100);
        let refused = AuditOutcome::Refused(forged.clone());
        let entry =
            entry(Timestamp::default(), String::new(), String::new(), "x", &forged, &refused);
        assert_eq!(entry.target.chars().count(), MAX_FIELD);
        assert!(!entry.target.contains(['\n', '\t']) && !entry.outcome.contains('\n'));
        assert!(entry.outcome.starts_with("refused: a@b 2026"));
    }
}
