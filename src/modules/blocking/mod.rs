//! The blocking command (XEP-0191) with reports (XEP-0377).

mod cache;
mod forward;
mod list;
mod presence;
mod report;

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::accounts::Windows;
use wello_kernel::clock::random_id;
use wello_kernel::hooks::{
    AccountEvents, Flow, Guard, IqAnswer, IqHandler, IqRequest, IqScope, Request,
};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_kernel::sessions::EndReason;
use wello_store::StoreError;
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::blocking::{BlockItem, Blocking as Command, blocked_by_yourself};
use wello_wire::stanza::{IqType, Kind, Stanza};

use cache::Cache;
use list::BlockList;

pub struct Blocking {
    cache: Cache,
    /// Reports of each account.
    reports: Windows<Box<str>>,
}

impl Default for Blocking {
    fn default() -> Blocking {
        Blocking { cache: Cache::default(), reports: Windows::new(HOUR_SECONDS) }
    }
}

const SPECS: &[Spec] = &[
    Spec {
        id: "XEP-0191",
        title: "Blocking Command",
        version: "1.3",
        status: Status::Complete,
        host_features: &[ns::BLOCKING],
        account_features: &[ns::BLOCKING],
    },
    Spec {
        id: "XEP-0377",
        title: "Blocking Command Reports",
        version: "0.4.1",
        status: Status::Complete,
        host_features: &[ns::REPORTING],
        account_features: &[ns::REPORTING],
    },
];

/// Addresses that an account may block.
const MAX_BLOCKED: usize = 2000;
const HOUR_SECONDS: u64 = 3600;
/// Reports of one account within an hour, since each becomes messages to others; further ones are dropped.
const MAX_REPORTS: u32 = 30;

impl Module for Blocking {
    fn name(&self) -> &'static str {
        "blocking"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.iq(IqScope::Account, ns::BLOCKING, Arc::clone(&self) as _);
        registrar.accounts(Arc::clone(&self) as _);
        registrar.guard(self);
    }
}

#[async_trait]
impl IqHandler for Blocking {
    async fn handle(
        &self,
        kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        let session = request.own_session()?;
        let account = &request.to;
        match Command::parse(request.payload)? {
            Command::List(_) => {
                request.expect(Request::Get)?;
                // From now on it gets pushes, so that none is missed between this answer and them.
                session.set_wants_block_list();
                let jids =
                    self.list(kernel, account).await.map_err(|error| failed(account, &error))?;
                return Ok(Command::List(jids.to_jids()).to_element().into());
            }
            Command::Block(items) => {
                request.expect(Request::Set)?;
                self.block(kernel, account, items).await?;
            }
            Command::Unblock(jids) => {
                request.expect(Request::Set)?;
                self.unblock(kernel, account, jids).await?;
            }
        }
        Ok(IqAnswer::Result(None))
    }
}

impl Blocking {
    /// Whether an account blocks an address; `None` when that has to be read from the store.
    pub(crate) fn blocks(&self, account: &str, jid: &Jid) -> Option<bool> {
        self.cache.blocks(account, jid)
    }

    /// The same, read from the store if need be.
    pub(crate) async fn is_blocked(
        &self,
        kernel: &Kernel,
        account: &str,
        jid: &Jid,
    ) -> Result<bool, StoreError> {
        Ok(self.cache.load(kernel, account).await?.blocks(jid))
    }

    async fn block(
        &self,
        kernel: &Arc<Kernel>,
        account: &BareJid,
        items: Vec<BlockItem>,
    ) -> Result<(), StanzaError> {
        let before = self.list(kernel, account).await.map_err(|error| failed(account, &error))?;
        let new: Vec<Jid> =
            items.iter().map(|item| item.jid.clone()).filter(|jid| !before.contains(jid)).collect();
        if before.len() + new.len() > MAX_BLOCKED {
            return Err(StanzaError::resource_constraint("the block list is full"));
        }
        // Before the block is in force, because then nothing gets through any more.
        presence::hide(kernel, account, &new).await;
        let texts: Vec<String> = new.iter().map(ToString::to_string).collect();
        let added = kernel.store.blocking.add(account.as_str(), &texts).await;
        self.cache.forget(account.as_str());
        added.map_err(|error| failed(account, &error))?;
        for item in &items {
            if let Some(sent) = &item.report
                && self.admit_report(kernel, account)
            {
                report::handle(kernel, account, &item.jid, sent).await;
            }
        }
        push(kernel, account, &Command::Block(items));
        Ok(())
    }

    fn admit_report(&self, kernel: &Kernel, account: &BareJid) -> bool {
        let (key, now): (Box<str>, _) = (account.as_str().into(), kernel.clock.now());
        self.reports.admit(key, MAX_REPORTS, now)
    }

    async fn unblock(
        &self,
        kernel: &Arc<Kernel>,
        account: &BareJid,
        jids: Vec<Jid>,
    ) -> Result<(), StanzaError> {
        let before = self.list(kernel, account).await.map_err(|error| failed(account, &error))?;
        let freed: Vec<Jid> = match jids.is_empty() {
            true => before.to_jids(),
            false => jids.iter().filter(|jid| before.contains(jid)).cloned().collect(),
        };
        let removed = if jids.is_empty() {
            kernel.store.blocking.clear(account.as_str()).await
        } else {
            let texts: Vec<String> = freed.iter().map(ToString::to_string).collect();
            kernel.store.blocking.remove(account.as_str(), &texts).await
        };
        self.cache.forget(account.as_str());
        removed.map_err(|error| failed(account, &error))?;
        push(kernel, account, &Command::Unblock(jids));
        presence::show(kernel, account, &freed).await;
        Ok(())
    }

    async fn list(&self, kernel: &Kernel, account: &BareJid) -> Result<Arc<BlockList>, StoreError> {
        self.cache.load(kernel, account.as_str()).await
    }
}

/// Section 3.3 and 3.4: to all of the account's resources that asked for the list.
fn push(kernel: &Kernel, account: &BareJid, command: &Command) {
    let payload = command.to_element();
    for session in kernel.sessions.of(account).iter().filter(|s| s.wants_block_list()) {
        let push = Stanza::iq(IqType::Set, random_id())
            .with_from(account.clone())
            .with_to(session.jid.clone())
            .with_child(payload.clone());
        if session.post(push).is_err() {
            session.end(EndReason::SlowReader);
        }
    }
}

#[async_trait]
impl Guard for Blocking {
    async fn guard(&self, kernel: &Arc<Kernel>, stanza: &Stanza) -> Flow {
        let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else { return Flow::Next };
        if is_exempt(from, to) {
            return Flow::Next;
        }
        match self.verdict(kernel, stanza, from, to).await {
            Ok(flow) => flow,
            Err(error) => {
                tracing::error!(%error, "block list not read");
                Flow::Refuse(StanzaError::internal_server_error(""))
            }
        }
    }
}

impl Blocking {
    async fn verdict(
        &self,
        kernel: &Kernel,
        stanza: &Stanza,
        from: &Jid,
        to: &Jid,
    ) -> Result<Flow, StoreError> {
        if is_account(kernel, from)
            && self.cache.load(kernel, from.bare_str()).await?.blocks(to)
            // The errors that inbound stanzas get (section 3.3) go out under the account's name.
            && !stanza.is_error()
        {
            return Ok(Flow::Refuse(blocked_by_yourself()));
        }
        if is_account(kernel, to) && self.cache.load(kernel, to.bare_str()).await?.blocks(from) {
            return Ok(inbound(stanza));
        }
        Ok(Flow::Next)
    }
}

/// Section 3.3: the user appears offline. Errors and results are not answered, so that refusing
/// them drops them.
fn inbound(stanza: &Stanza) -> Flow {
    match stanza.kind {
        Kind::Presence => Flow::Handled,
        Kind::Message | Kind::Iq => Flow::Refuse(StanzaError::service_unavailable("")),
    }
}

/// Section 5: never between resources of one account; nor between it and its own server, which
/// speaks to it in its own name.
fn is_exempt(from: &Jid, to: &Jid) -> bool {
    from.bare_str() == to.bare_str()
        || (from.domain() == to.domain() && (from.local().is_none() || to.local().is_none()))
}

fn is_account(kernel: &Kernel, jid: &Jid) -> bool {
    jid.local().is_some() && kernel.hosts.contains(jid.domain())
}

#[async_trait]
impl AccountEvents for Blocking {
    async fn deleting(&self, _kernel: &Arc<Kernel>, account: &BareJid) {
        self.cache.forget(account.as_str());
    }
}

fn failed(account: &BareJid, error: &StoreError) -> StanzaError {
    tracing::error!(%account, %error, "block list not reached");
    StanzaError::internal_server_error("")
}

#[cfg(test)]
mod tests {
    use wello_wire::error::Condition;

    use super::*;

    fn jid(text: &str) -> Jid {
        text.parse().unwrap()
    }

    #[test]
    fn presence_is_dropped_and_the_rest_refused() {
        let verdict = |text: &str| inbound(&Stanza::from_element(text.parse().unwrap()).unwrap());
        for text in
            ["<presence xmlns='jabber:client'/>", "<presence xmlns='jabber:client' type='probe'/>"]
        {
            assert_eq!(verdict(text), Flow::Handled);
        }
        for text in ["<message xmlns='jabber:client'/>", "<iq xmlns='jabber:client' type='get'/>"] {
            let Flow::Refuse(error) = verdict(text) else { panic!("{text}") };
            assert_eq!(error.condition, Condition::ServiceUnavailable);
        }
    }

    #[test]
    fn ones_own_resources_and_server_are_never_blocked() {
        assert!(is_exempt(&jid("a@b/c"), &jid("a@b/d")));
        assert!(is_exempt(&jid("a@b/c"), &jid("a@b")));
        assert!(is_exempt(&jid("a@b/c"), &jid("b")));
        assert!(is_exempt(&jid("b"), &jid("a@b/c")));
        assert!(!is_exempt(&jid("a@b/c"), &jid("d@b/c")));
        assert!(!is_exempt(&jid("a@b/c"), &jid("other")));
    }
}
