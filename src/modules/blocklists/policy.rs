//! Which stanzas lists are asked about, and what is done with those of somebody who is on one.

use wello_kernel::Kernel;
use wello_kernel::blocklist::Rules;
use wello_kernel::hooks::Flow;
use wello_wire::error::StanzaError;
use wello_wire::jid::Jid;
use wello_wire::ns;
use wello_wire::stanza::{IqType, Kind, PresenceType, Stanza};

/// What somebody who may be listed by others wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Concern {
    /// To enter one of our rooms, or to speak or invite there.
    Room,
    /// To turn to an account here from another server.
    Stranger,
}

pub(super) fn concern(kernel: &Kernel, stanza: &Stanza, from: &Jid, to: &Jid) -> Option<Concern> {
    let services = &kernel.hooks().services;
    let to_service = services.contains_key(to.domain());
    let to_account = kernel.hosts.contains(to.domain());
    if to.local().is_none() || stanza.is_error() {
        return None;
    }
    match (stanza.kind, stanza.presence_type()) {
        (Kind::Message, _) if to_service => Some(Concern::Room),
        (Kind::Presence, Some(PresenceType::Available)) if to_service => Some(Concern::Room),
        (Kind::Message, _) | (Kind::Presence, Some(PresenceType::Subscribe)) if to_account => {
            (!kernel.is_ours(from)).then_some(Concern::Stranger)
        }
        _ => None,
    }
}

/// Whom a stanza comes from: its sender, and who invites through a room elsewhere.
pub(super) fn subjects(concern: Concern, stanza: &Stanza, from: &Jid) -> Vec<Jid> {
    let mut subjects = vec![from.clone()];
    if concern == Concern::Stranger {
        let room = stanza.child("x", ns::MUC_USER);
        let invite = room.and_then(|x| x.child("invite", ns::MUC_USER));
        let inviter = invite.and_then(|invite| invite.attr("from")?.parse().ok());
        subjects.extend(inviter);
    }
    subjects
}

pub(super) fn refusal(concern: Concern) -> StanzaError {
    match concern {
        // XEP-0045, section 7.2.8: as for who is banned.
        Concern::Room => StanzaError::forbidden("you are listed as a source of spam"),
        Concern::Stranger => {
            StanzaError::policy_violation("you or your server is listed as a source of spam")
        }
    }
}

/// What is done between one of us and somebody whom the operator has blocked.
pub(super) fn blocked(kernel: &Kernel, stanza: &Stanza, from: &Jid) -> Flow {
    let is_answer = stanza.iq_type() == Some(IqType::Result) || stanza.is_error();
    // Rooms tell all who are in them; who has been blocked since is not told any more, not even that.
    match is_answer || !kernel.hosts.contains(from.domain()) {
        true => Flow::Handled,
        false => Flow::Refuse(StanzaError::not_allowed("this server does not talk to them")),
    }
}

/// Whether the operator wants nothing to do with an address elsewhere.
pub(super) fn is_blocked(kernel: &Kernel, rules: &Rules, jid: &Jid) -> bool {
    rules.covers(jid) && !kernel.is_ours(jid)
}
