//! Requests in the name of accounts (section 6).

use std::sync::Arc;
use std::time::Duration;

use wello_kernel::Kernel;
use wello_kernel::hooks::Flow;
use wello_wire::error::StanzaError;
use wello_wire::jid::Jid;
use wello_wire::ns;
use wello_wire::payload::forward::Forwarded;
use wello_wire::stanza::{IqType, Stanza};
use wello_wire::xml::Element;

use super::Privileges;
use super::policy::{self, Question};

/// How long whoever is asked may take.
const PATIENCE: Duration = Duration::from_secs(60);

impl Privileges {
    /// Takes requests that wrap another one for an address of ours.
    pub(super) async fn guard_iq(&self, kernel: &Arc<Kernel>, stanza: &Stanza) -> Flow {
        let is_request = matches!(stanza.iq_type(), Some(IqType::Get | IqType::Set));
        let ours = stanza.to.as_ref().filter(|to| kernel.hosts.contains(to.domain()));
        let Some(to) = ours.filter(|_| is_request) else { return Flow::Next };
        if !stanza.has_child("privileged_iq", ns::PRIVILEGE) {
            return Flow::Next;
        }
        match self.begin(kernel, stanza, to).await {
            Ok(()) => Flow::Handled,
            Err(error) => Flow::Refuse(error),
        }
    }

    async fn begin(
        &self,
        kernel: &Arc<Kernel>,
        stanza: &Stanza,
        to: &Jid,
    ) -> Result<(), StanzaError> {
        let granted = stanza.from.as_ref();
        let granted = granted.and_then(|from| kernel.config.privileges_of(from, to.domain()));
        let question = policy::inner_iq(granted, stanza)?;
        if !kernel.accounts.exists(&question.account).await {
            return Err(StanzaError::forbidden("no such account"));
        }
        let permit = self.waiting.admit(stanza)?;
        let (kernel, stanza) = (Arc::clone(kernel), stanza.clone());
        // The one who asks may be the one who is asked, and reads nothing while this waits.
        #[expect(clippy::disallowed_methods, reason = "is over when its patience is")]
        tokio::spawn(async move {
            match ask(&kernel, question).await {
                Some(answer) => {
                    kernel.route(stanza.result(Some(answer))).await;
                }
                None => {
                    let error = StanzaError::remote_server_timeout("no answer");
                    kernel.refuse(None, &stanza, &error).await;
                }
            }
            drop(permit);
        });
        Ok(())
    }
}

/// The answer as the component gets it, be it a result or an error.
async fn ask(kernel: &Arc<Kernel>, question: Question) -> Option<Element> {
    let Question { id, account, to, type_, payload } = question;
    let mut answer = kernel.ask(account.into(), to, type_, payload, PATIENCE).await?;
    answer.id = Some(id.into());
    let forwarded = Forwarded { delay: None, stanza: answer.to_element() };
    Some(Element::new("privilege", ns::PRIVILEGE).with_child(forwarded.to_element()))
}
