//! How often one session may ask for what costs the server much more than was sent.

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::accounts::Windows;
use wello_kernel::config::LimitsConfig;
use wello_kernel::hooks::Permit;
use wello_kernel::module::{Module, Registrar, Spec};
use wello_kernel::sessions::{Session, SessionId};
use wello_wire::error::StanzaError;
use wello_wire::jid::FullJid;
use wello_wire::stanza::{IqType, Kind, PresenceType, Stanza};

pub struct Pace {
    counts: Windows<(SessionId, Costly)>,
}

const MINUTE_SECONDS: u64 = 60;

impl Default for Pace {
    fn default() -> Pace {
        Pace { counts: Windows::new(MINUTE_SECONDS) }
    }
}

impl Module for Pace {
    fn name(&self) -> &'static str {
        "pace"
    }

    fn specs(&self) -> &'static [Spec] {
        &[]
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.permit(self);
    }
}

#[async_trait]
impl Permit for Pace {
    async fn permit(
        &self,
        kernel: &Arc<Kernel>,
        session: &Session,
        stanza: &Stanza,
    ) -> Result<(), StanzaError> {
        let Some(costly) = costly(stanza, &session.jid) else { return Ok(()) };
        let most = costly.most(&kernel.config.limits);
        let (key, now) = ((session.id, costly), kernel.clock.now());
        match most == 0 || self.counts.admit(key, most, now) {
            true => Ok(()),
            false => Err(StanzaError::resource_constraint(costly.complaint())),
        }
    }
}

/// What makes much out of little.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Costly {
    /// Presence for all contacts.
    Broadcast,
    /// Availability for one address: a room tells everybody who is in it.
    Join,
    /// A question that somebody else has to answer.
    Request,
}

impl Costly {
    /// Within a minute; 0: no limit.
    fn most(self, limits: &LimitsConfig) -> u32 {
        match self {
            Costly::Broadcast => limits.presence_per_minute,
            Costly::Join => limits.joins_per_minute,
            Costly::Request => limits.requests_per_minute,
        }
    }

    fn complaint(self) -> &'static str {
        match self {
            Costly::Broadcast => "too much presence, wait a minute",
            Costly::Join => "too many rooms entered, wait a minute",
            Costly::Request => "too many requests, wait a minute",
        }
    }
}

fn costly(stanza: &Stanza, sender: &FullJid) -> Option<Costly> {
    match stanza.kind {
        Kind::Message => None,
        Kind::Presence => match (stanza.presence_type()?, &stanza.to) {
            (PresenceType::Available | PresenceType::Unavailable, None) => Some(Costly::Broadcast),
            (PresenceType::Available, Some(_)) => Some(Costly::Join),
            _ => None,
        },
        Kind::Iq => {
            let to = stanza.to.as_ref()?;
            let is_own = to.bare_str() == sender.bare_str()
                || (to.local().is_none() && to.domain() == sender.domain());
            let asks = matches!(stanza.iq_type(), Some(IqType::Get | IqType::Set));
            (asks && !is_own).then_some(Costly::Request)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_have_to_deal_with_is_counted() {
        let sender = FullJid::try_from("a@b/c".parse::<wello_wire::jid::Jid>().unwrap()).unwrap();
        for (xml, expected) in [
            ("<presence xmlns='jabber:client'/>", Some(Costly::Broadcast)),
            ("<presence xmlns='jabber:client' type='unavailable'/>", Some(Costly::Broadcast)),
            ("<presence xmlns='jabber:client' to='r@x/n'/>", Some(Costly::Join)),
            ("<presence xmlns='jabber:client' to='r@x/n' type='unavailable'/>", None),
            ("<presence xmlns='jabber:client' to='r@x' type='subscribe'/>", None),
            ("<message xmlns='jabber:client' to='r@x'/>", None),
            ("<iq xmlns='jabber:client' type='get' id='1'/>", None),
            ("<iq xmlns='jabber:client' type='get' id='1' to='a@b'/>", None),
            ("<iq xmlns='jabber:client' type='get' id='1' to='b'/>", None),
            ("<iq xmlns='jabber:client' type='result' id='1' to='d@b/e'/>", None),
            ("<iq xmlns='jabber:client' type='get' id='1' to='d@b/e'/>", Some(Costly::Request)),
            ("<iq xmlns='jabber:client' type='set' id='1' to='pubsub.b'/>", Some(Costly::Request)),
        ] {
            let stanza = Stanza::from_element(xml.parse().unwrap()).unwrap();
            assert_eq!(costly(&stanza, &sender), expected, "{xml}");
        }
    }
}
