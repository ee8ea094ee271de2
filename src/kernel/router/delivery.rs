//! Who of an account's sessions gets a message (RFC 6121, section 8.5).

use std::sync::Arc;

use wello_wire::jid::Jid;
use wello_wire::stanza::MessageType;

use crate::sessions::Session;

/// What happens to a message for a local account.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// These sessions get it; never empty.
    Deliver(Vec<Arc<Session>>),
    /// Nobody can take it now: it is stored, or the sender is told.
    Store,
    /// The sender gets `service-unavailable`.
    Refuse,
    /// It is dropped without a word.
    Ignore,
}

/// The delivery table of RFC 6121, section 8.5.4, with the reason for the log.
pub fn decide(type_: MessageType, to: &Jid, sessions: &[Arc<Session>]) -> (Verdict, &'static str) {
    if !to.is_bare() {
        if let Some(session) = sessions.iter().find(|session| *session.jid == *to) {
            return (Verdict::Deliver(vec![Arc::clone(session)]), "exact resource");
        }
        return match type_ {
            MessageType::Chat => to_bare(sessions),
            MessageType::Groupchat | MessageType::Normal => (Verdict::Refuse, "resource is gone"),
            MessageType::Headline | MessageType::Error => (Verdict::Ignore, "resource is gone"),
        };
    }
    match type_ {
        MessageType::Chat | MessageType::Normal => to_bare(sessions),
        MessageType::Groupchat => (Verdict::Refuse, "groupchat to a bare address"),
        MessageType::Headline => match bare_recipients(sessions) {
            found if found.is_empty() => (Verdict::Ignore, "headline and nobody there"),
            found => (Verdict::Deliver(found), "headline to all available"),
        },
        MessageType::Error => (Verdict::Ignore, "error to a bare address"),
    }
}

fn to_bare(sessions: &[Arc<Session>]) -> (Verdict, &'static str) {
    match bare_recipients(sessions) {
        found if found.is_empty() => (Verdict::Store, "no available resource"),
        found => (Verdict::Deliver(found), "all available resources"),
    }
}

fn bare_recipients(sessions: &[Arc<Session>]) -> Vec<Arc<Session>> {
    sessions.iter().filter(|session| session.receives_bare()).cloned().collect()
}

#[cfg(test)]
mod tests {
    use wello_wire::jid::FullJid;
    use wello_wire::stanza::{PresenceType, Stanza};

    use super::*;
    use crate::sessions::{ClientInfo, Sessions};

    fn sessions(priorities: &[Option<i8>]) -> Vec<Arc<Session>> {
        let all = Sessions::default();
        let made = priorities.iter().enumerate().map(|(number, priority)| {
            let jid = format!("a@b/{number}").parse::<Jid>().unwrap();
            let jid = FullJid::try_from(jid).unwrap();
            let session = all.bind(jid, ClientInfo::default(), 1000, 10).unwrap();
            let presence = Stanza::presence(PresenceType::Available);
            session.set_presence(priority.map(|priority| (presence, priority)));
            session
        });
        made.collect()
    }

    fn verdict(type_: MessageType, to: &str, priorities: &[Option<i8>]) -> String {
        match decide(type_, &to.parse().unwrap(), &sessions(priorities)).0 {
            Verdict::Deliver(to) => {
                to.iter().map(|session| session.jid.resource()).collect::<Vec<_>>().join(",")
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn the_table_of_section_8_5_4() {
        use MessageType::{Chat, Error, Groupchat, Headline, Normal};
        let several = [Some(0), Some(5), Some(-1), None];
        let negative = [Some(-1), None];
        for (type_, to, priorities, expected) in [
            (Chat, "a@b", &several[..], "0,1"),
            (Normal, "a@b", &several, "0,1"),
            (Groupchat, "a@b", &several, "Refuse"),
            (Headline, "a@b", &several, "0,1"),
            (Error, "a@b", &several, "Ignore"),
            (Chat, "a@b", &negative, "Store"),
            (Normal, "a@b", &[], "Store"),
            (Headline, "a@b", &negative, "Ignore"),
            (Chat, "a@b/2", &several, "2"),
            (Groupchat, "a@b/3", &several, "3"),
            (Error, "a@b/3", &several, "3"),
            (Chat, "a@b/gone", &several, "0,1"),
            (Chat, "a@b/gone", &[], "Store"),
            (Groupchat, "a@b/gone", &several, "Refuse"),
            (Normal, "a@b/gone", &several, "Refuse"),
            (Headline, "a@b/gone", &several, "Ignore"),
            (Error, "a@b/gone", &several, "Ignore"),
        ] {
            assert_eq!(verdict(type_, to, priorities), expected, "{type_:?} to {to}");
        }
    }
}
