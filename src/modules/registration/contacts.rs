//! Subscription requests with the token of an invitation (XEP-0379).

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::hooks::{Flow, Guard};
use wello_wire::jid::BareJid;
use wello_wire::ns;
use wello_wire::payload::invite::Preauth;
use wello_wire::stanza::{Kind, PresenceType, Stanza};

use super::Registration;

#[async_trait]
impl Guard for Registration {
    fn concerns(&self, _kernel: &Kernel, stanza: &Stanza) -> bool {
        stanza.kind == Kind::Presence
    }

    /// Prepares the inviter's roster so that the request is answered without asking; a token that
    /// is not valid makes it one like any other (section 4.1).
    async fn guard(&self, kernel: &Arc<Kernel>, stanza: &Stanza) -> Flow {
        let Some((inviter, contact, token)) = invited(stanza) else { return Flow::Next };
        if !kernel.hosts.contains(inviter.domain()) {
            return Flow::Next;
        }
        let welcomed = match kernel.accounts.redeem_contact(&token, &inviter, &contact).await {
            Ok(true) => kernel.welcome_contact(&inviter, &contact).await,
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = welcomed {
            tracing::error!(%inviter, %error, "invited contact not added");
        }
        Flow::Next
    }
}

/// Who invited, who comes, and with what.
fn invited(stanza: &Stanza) -> Option<(BareJid, BareJid, String)> {
    let asks =
        stanza.kind == Kind::Presence && stanza.presence_type() == Some(PresenceType::Subscribe);
    let preauth = stanza.child("preauth", ns::PARS).filter(|_| asks)?;
    let Preauth { token } = Preauth::parse(preauth).ok()?;
    let (inviter, contact) = (stanza.to.as_ref()?.bare(), stanza.from.as_ref()?.bare());
    inviter.local().is_some().then_some((inviter, contact, token))
}
