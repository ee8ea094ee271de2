//! Last activity (XEP-0012): how long the server has been up, how long an account has been away.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;
use wello_kernel::Kernel;
use wello_kernel::hooks::{Flow, Guard, IqAnswer, IqHandler, IqRequest, IqScope, Request};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_store::Timestamp;
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::last::LastActivity;
use wello_wire::stanza::{IqType, Kind, Stanza};

pub struct Last {
    started: Instant,
}

const SPECS: &[Spec] = &[Spec {
    id: "XEP-0012",
    title: "Last Activity",
    version: "2.0",
    status: Status::Complete,
    host_features: &[ns::LAST],
    account_features: &[ns::LAST],
}];

impl Last {
    /// The server counts as up from now on.
    pub fn new() -> Last {
        Last { started: Instant::now() }
    }
}

impl Module for Last {
    fn name(&self) -> &'static str {
        "last"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.iq(IqScope::Host, ns::LAST, Arc::clone(&self) as _);
        registrar.iq(IqScope::Account, ns::LAST, Arc::clone(&self) as _);
        registrar.guard(self);
    }
}

#[async_trait]
impl IqHandler for Last {
    async fn handle(
        &self,
        kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        request.expect(Request::Get)?;
        if request.to.local().is_none() {
            let seconds = Some(self.started.elapsed().as_secs());
            return Ok(LastActivity { seconds, status: None }.to_element().into());
        }
        let viewer = request.from.bare();
        if viewer != request.to && !kernel.sees_last(&request.to, &viewer).await {
            return Err(not_permitted());
        }
        Ok(of_account(kernel, &request.to).await?.to_element().into())
    }
}

/// Section 4: questions to a resource reach it only from who may see its presence.
#[async_trait]
impl Guard for Last {
    fn concerns(&self, _kernel: &Kernel, stanza: &Stanza) -> bool {
        stanza.kind == Kind::Iq
    }

    async fn guard(&self, kernel: &Arc<Kernel>, stanza: &Stanza) -> Flow {
        let Some((from, to)) = asked_of_resource(stanza) else { return Flow::Next };
        if !kernel.hosts.contains(to.domain()) || to.local().is_none() {
            return Flow::Next;
        }
        let permitted = from.bare_str() == to.bare_str()
            || kernel.sees_last(&to.bare(), &from.bare()).await
            || kernel.sessions.find(to).is_some_and(|session| session.has_directed(from));
        if permitted { Flow::Next } else { Flow::Refuse(not_permitted()) }
    }
}

/// Who asks which resource, if that is what the stanza does.
fn asked_of_resource(stanza: &Stanza) -> Option<(&Jid, &Jid)> {
    if stanza.kind != Kind::Iq || stanza.iq_type() != Some(IqType::Get) {
        return None;
    }
    let (from, to) = (stanza.from.as_ref()?, stanza.to.as_ref()?);
    (!to.is_bare() && stanza.has_child("query", ns::LAST)).then_some((from, to))
}

async fn of_account(kernel: &Kernel, account: &BareJid) -> Result<LastActivity, StanzaError> {
    // Section 3: connected is enough, it need not be available.
    if !kernel.sessions.of(account).is_empty() {
        return Ok(LastActivity { seconds: Some(0), status: None });
    }
    let stored = kernel.store.last.get(account.as_str()).await.map_err(|error| {
        tracing::error!(%account, %error, "last activity not read");
        StanzaError::internal_server_error("")
    })?;
    let last = stored.ok_or_else(|| StanzaError::item_not_found("never online"))?;
    Ok(since(last, kernel.clock.now()))
}

fn since(last: wello_store::LastActivity, now: Timestamp) -> LastActivity {
    let status = last.status.filter(|status| !status.is_empty());
    LastActivity { seconds: Some(now.since(last.at).as_secs()), status }
}

fn not_permitted() -> StanzaError {
    StanzaError::forbidden("only for who may see the presence")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_seconds_since_and_never_negative() {
        let at = Timestamp::from_secs(1000);
        let last = |status: &str| wello_store::LastActivity { at, status: Some(status.to_owned()) };
        let away = since(last("Heading Home"), at.plus_micros(903_999_999));
        assert_eq!(away.seconds, Some(903));
        assert_eq!(away.status.as_deref(), Some("Heading Home"));
        let earlier = since(last(""), Timestamp::from_secs(10));
        assert_eq!(earlier, LastActivity { seconds: Some(0), status: None });
    }

    #[test]
    fn only_questions_to_resources_are_guarded() {
        let guarded = |attributes: &str, child: &str| {
            let text =
                format!("<iq xmlns='jabber:client' id='1' from='c@d/e' {attributes}>{child}</iq>");
            let stanza = Stanza::from_element(text.parse().unwrap()).unwrap();
            asked_of_resource(&stanza).is_some()
        };
        let last = "<query xmlns='jabber:iq:last'/>";
        assert!(guarded("type='get' to='a@b/c'", last));
        assert!(!guarded("type='get' to='a@b'", last));
        assert!(!guarded("type='result' to='a@b/c'", last));
        assert!(!guarded("type='get' to='a@b/c'", "<query xmlns='jabber:iq:version'/>"));
    }
}
