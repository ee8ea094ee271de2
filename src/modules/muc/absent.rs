//! Members who have not joined and occupants whose devices sleep, and what is said meanwhile.

use std::sync::Arc;

use wello_kernel::Kernel;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::stanza::Stanza;

use super::Muc;
use super::room::{Affiliation, Device, Room};
use crate::push::{Absent, Push, Said};

impl Muc {
    /// Has their devices woken, if they want it.
    pub(super) fn wake_absent(
        &self,
        kernel: &Arc<Kernel>,
        room: &BareJid,
        speaker: &Jid,
        stanza: &Stanza,
    ) {
        if !self.push.is_worth_it(stanza) {
            return;
        }
        let Some(live) = self.rooms.get(room.as_str()) else { return };
        let said = said(&live.state.lock().room, kernel, &self.push, speaker, stanza);
        if let Some(said) = said {
            self.push.tell_absent(kernel, said);
        }
    }
}

/// `None` when nobody is absent.
fn said(room: &Room, kernel: &Kernel, push: &Push, speaker: &Jid, stanza: &Stanza) -> Option<Said> {
    let is_ours = |account: &BareJid| kernel.hosts.contains(account.domain());
    let members = room.affiliates().filter(|(_, found)| found.affiliation >= Affiliation::Member);
    let away = members.filter(|(account, _)| {
        is_ours(account) && room.occupant_of_account(account).is_none() && push.may_wake(account)
    });
    let mut away = away.peekable();
    let mut absent: Vec<Absent> = asleep(room, kernel, push, speaker).collect();
    if away.peek().is_some() {
        let mentioned = room.mentioned(stanza);
        absent.extend(away.map(|(account, found)| Absent {
            account: account.clone(),
            inside: false,
            nick: found.nick.clone(),
            mentioned: mentioned.contains(account),
        }));
    }
    if absent.is_empty() {
        return None;
    }
    Some(Said {
        room: room.jid.clone(),
        stanza: stanza.clone().with_from(room.occupant_of(speaker)?.jid.clone()),
        private: room.config.members_only && !room.config.public,
        absent,
    })
}

/// Others that have a device here whose session hibernates: what it gets waits for its connection.
fn asleep(
    room: &Room,
    kernel: &Kernel,
    push: &Push,
    speaker: &Jid,
) -> impl Iterator<Item = Absent> {
    let sleeps = |device: &Device| {
        kernel.sessions.find(&device.jid).is_some_and(|session| session.is_hibernating())
    };
    let others = room.occupants().filter(|one| {
        one.account.as_str() != speaker.bare_str()
            && kernel.hosts.contains(one.account.domain())
            && push.may_wake(&one.account)
    });
    others.filter(move |one| one.devices.iter().any(sleeps)).map(|one| Absent {
        account: one.account.clone(),
        inside: true,
        nick: Some(one.nick().to_owned()),
        mentioned: false,
    })
}
