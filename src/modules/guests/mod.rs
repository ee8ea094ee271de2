//! People without an account, who came to a room by a link (docs/protocols/guests.md): what they may
//! do, and when they have to go. The links are the rooms' (`muc/guests`).

mod policy;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::hooks::{Chore, Flow, Guard, Permit};
use wello_kernel::module::{Module, Registrar, Spec};
use wello_kernel::sessions::Session;
use wello_wire::error::StanzaError;
use wello_wire::jid::Jid;
use wello_wire::stanza::Stanza;

use crate::muc::Muc;

pub struct Guests {
    muc: Arc<Muc>,
}

impl Guests {
    pub(crate) fn new(muc: Arc<Muc>) -> Guests {
        Guests { muc }
    }
}

impl Module for Guests {
    fn name(&self) -> &'static str {
        "guests"
    }

    fn specs(&self) -> &'static [Spec] {
        &[]
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.guest_door(Arc::clone(&self.muc) as _);
        registrar.permit(Arc::clone(&self) as _);
        registrar.guard(Arc::clone(&self) as _);
        registrar.chore(self);
    }
}

/// All that guests send passes here.
#[async_trait]
impl Permit for Guests {
    async fn permit(
        &self,
        kernel: &Arc<Kernel>,
        session: &Session,
        stanza: &Stanza,
    ) -> Result<(), StanzaError> {
        let guests = &kernel.accounts.guests;
        if !guests.serves(session.jid.domain()) {
            return Ok(());
        }
        let verdict = match guests.find(session.jid.bare_str()) {
            Some(guest) => policy::may_send(&guest, &session.jid, stanza),
            None => Err("you are no guest any more"),
        };
        verdict.map_err(StanzaError::forbidden)
    }
}

/// All that is sent to guests passes here.
#[async_trait]
impl Guard for Guests {
    fn concerns(&self, kernel: &Kernel, stanza: &Stanza) -> bool {
        let serves = |to: &Jid| kernel.accounts.guests.serves(to.domain());
        stanza.to.as_ref().is_some_and(serves)
    }

    async fn guard(&self, kernel: &Arc<Kernel>, stanza: &Stanza) -> Flow {
        let guests = &kernel.accounts.guests;
        let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else { return Flow::Next };
        if to.local().is_none() {
            return Flow::Next;
        }
        // Who is a guest no more gets the answer for an account that does not exist.
        let Some(guest) = guests.find(to.bare_str()) else { return Flow::Next };
        match policy::may_receive(&guest, to, from) {
            Ok(()) => Flow::Next,
            Err(reason) => Flow::Refuse(StanzaError::forbidden(reason)),
        }
    }
}

#[async_trait]
impl Chore for Guests {
    fn interval(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn run(&self, kernel: &Arc<Kernel>) {
        kernel.end_overdue_guests();
    }
}
