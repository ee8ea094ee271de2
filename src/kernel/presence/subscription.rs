use crate::Kernel;
use crate::sessions::Session;
use std::sync::Arc;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::stanza::{PresenceType, Stanza};
impl Kernel {
    pub(crate) async fn handle_inbound_subscription(
        self: &Arc<Self>,
        _t: PresenceType,
        _account: BareJid,
        _stanza: Stanza,
    ) {
    }
    pub(crate) async fn handle_outbound_subscription(
        self: &Arc<Self>,
        _s: &Arc<Session>,
        _t: PresenceType,
        _to: Jid,
        _stanza: Stanza,
    ) {
    }
}
