//! A message on its way through the stages.

use std::sync::Arc;

use wello_store::{ArchiveId, Ticket};
use wello_wire::jid::BareJid;
use wello_wire::stanza::Stanza;

use crate::sessions::{AccountSessions, Session};

/// One message between being accepted and being delivered.
pub struct Passage {
    pub stanza: Stanza,
    /// The session it came from, when a local client sent it.
    pub session: Option<Arc<Session>>,
    /// The sender's account, when it is local.
    pub sender: Option<BareJid>,
    /// The recipient's account, when it exists here.
    pub recipient: Option<BareJid>,
    /// The sessions of the recipient's account.
    pub recipient_sessions: AccountSessions,
    /// No device gets it or is told of it now; the recipient's archive has it.
    pub held: bool,
    /// Those that get the message itself.
    pub targets: Vec<Arc<Session>>,
    /// Further sessions that get a copy in a wrapper.
    pub copies: Vec<CopyTo>,
    /// Which archives it goes into.
    pub record: Record,
    /// Tells when the record is on stable storage.
    pub ticket: Option<Ticket>,
}

/// A copy for one more session. `wrap` makes it from the message and the session.
pub struct CopyTo {
    pub session: Arc<Session>,
    pub wrap: fn(&Stanza, &Session) -> Stanza,
    pub side: Side,
}

/// Whose archive a copy belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Sender,
    Recipient,
}

/// What is stored of a message.
#[derive(Debug, Default)]
pub struct Record {
    pub sender_id: Option<ArchiveId>,
    pub recipient_id: Option<ArchiveId>,
    /// Kept for the recipient's next login.
    pub offline: bool,
    /// Where it is in the recipient's archive already, when it comes back from a session.
    pub archived: Option<ArchiveId>,
    /// What full-text search finds it by.
    pub text: Option<String>,
}

impl Record {
    pub fn is_empty(&self) -> bool {
        self.sender_id.is_none() && self.recipient_id.is_none() && !self.offline
    }
}
