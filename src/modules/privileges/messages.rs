//! Messages in the name of accounts and of hosts (section 5).

use std::sync::Arc;

use wello_kernel::Kernel;
use wello_kernel::hooks::Flow;
use wello_wire::error::StanzaError;
use wello_wire::ns;
use wello_wire::stanza::Stanza;
use wello_wire::xml::Element;

use super::policy;

/// Takes what is wrapped for a host.
pub(super) async fn guard(kernel: &Arc<Kernel>, stanza: &Stanza) -> Flow {
    let host = stanza.to.as_ref().filter(|to| to.is_domain() && kernel.hosts.contains(to.domain()));
    let wrapped = stanza.child("privilege", ns::PRIVILEGE).filter(|_| !stanza.is_error());
    let (Some(host), Some(wrapped)) = (host, wrapped) else { return Flow::Next };
    match unwrap(kernel, stanza, host.domain(), wrapped).await {
        Ok(message) => {
            // From here on it is a message of the account: archived, copied to its devices, and rid
            // of what accounts may not claim.
            kernel.route(message).await;
            Flow::Handled
        }
        Err(error) => Flow::Refuse(error),
    }
}

async fn unwrap(
    kernel: &Kernel,
    stanza: &Stanza,
    host: &str,
    wrapped: &Element,
) -> Result<Stanza, StanzaError> {
    let granted = stanza.from.as_ref().and_then(|from| kernel.config.privileges_of(from, host));
    let message = policy::inner_message(granted, host, wrapped)?;
    let sender = message.from.as_ref().filter(|from| from.local().is_some());
    match sender {
        Some(sender) if !kernel.accounts.exists(&sender.bare()).await => {
            Err(StanzaError::forbidden("no such account"))
        }
        _ => Ok(message),
    }
}
