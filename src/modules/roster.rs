//! Roster requests (RFC 6121, section 2); the rosters themselves are the kernel's.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::hooks::{IqAnswer, IqHandler, IqRequest, IqScope, Request};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_kernel::roster::{change_element, item_element};
use wello_kernel::sessions::Session;
use wello_store::RosterVersion;
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::stanza::{IqType, Stanza};
use wello_wire::xml::Element;

pub struct Roster;

const SPECS: &[Spec] = &[
    Spec {
        id: "RFC 6121",
        title: "Instant Messaging and Presence",
        version: "2011-03",
        status: Status::Complete,
        host_features: &[ns::ROSTER],
        account_features: &[],
    },
    Spec {
        id: "XEP-0237",
        title: "Roster Versioning",
        version: "1.3",
        status: Status::Complete,
        host_features: &[],
        account_features: &[],
    },
];

/// Characters of a name or a group.
const MAX_TEXT: usize = 1023;
const MAX_GROUPS: usize = 64;

impl Module for Roster {
    fn name(&self) -> &'static str {
        "roster"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.iq(IqScope::Account, ns::ROSTER, self);
    }
}

#[async_trait]
impl IqHandler for Roster {
    async fn handle(
        &self,
        kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        let is_privileged = is_privileged(kernel, &request);
        if !is_privileged {
            request.own_session()?;
        }
        if request.payload.name() != "query" {
            return Err(StanzaError::bad_request("not a roster query"));
        }
        match request.request {
            Request::Get if is_privileged => whole(kernel, &request.to).await,
            Request::Get => get(kernel, request.own_session()?, &request).await,
            Request::Set => set(kernel, &request.to, request.payload).await,
        }
    }
}

/// XEP-0356, section 4: a component that may do this with the rosters of the account's host.
fn is_privileged(kernel: &Kernel, request: &IqRequest<'_>) -> bool {
    let granted = kernel.config.privileges_of(request.from, request.to.domain());
    granted.is_some_and(|privileges| privileges.roster.allows(request.request))
}

async fn get(
    kernel: &Arc<Kernel>,
    session: &Arc<Session>,
    request: &IqRequest<'_>,
) -> Result<IqAnswer, StanzaError> {
    // From now on it gets pushes, so that none is missed between this answer and them.
    session.set_interested();
    let account = request.to.as_str();
    let failed = |error| {
        tracing::error!(session = %session.id, %error, "roster not read");
        StanzaError::internal_server_error("")
    };
    if let Some(known) = request.payload.attr("ver") {
        let known = RosterVersion(known.parse().unwrap_or(u64::MAX));
        let changes = kernel.store.roster.changes_since(account, known).await.map_err(failed)?;
        if let Some(changes) = changes {
            // Section 2.6.3: an empty result, then what changed as pushes.
            session.reply(request.stanza.result(None));
            for (version, change) in &changes.changes {
                let query = Element::new("query", ns::ROSTER)
                    .with_attr("ver", version.0.to_string())
                    .with_child(change_element(change));
                let push = Stanza::iq(IqType::Set, wello_kernel::clock::random_id())
                    .with_from(request.to.clone())
                    .with_to(session.jid.clone())
                    .with_child(query);
                session.reply(push);
            }
            return Ok(IqAnswer::Later);
        }
    }
    whole(kernel, &request.to).await
}

async fn whole(kernel: &Kernel, account: &BareJid) -> Result<IqAnswer, StanzaError> {
    let roster = kernel.store.roster.load(account.as_str()).await.map_err(|error| {
        tracing::error!(%account, %error, "roster not read");
        StanzaError::internal_server_error("")
    })?;
    // Section 3.1.6: contacts that are only in the roster because they asked are not shown.
    let query = Element::new("query", ns::ROSTER)
        .with_attr("ver", roster.version.0.to_string())
        .with_children(roster.items.iter().map(item_element));
    Ok(query.into())
}

async fn set(
    kernel: &Arc<Kernel>,
    account: &BareJid,
    query: &Element,
) -> Result<IqAnswer, StanzaError> {
    let change = Change::parse(query)?;
    match change {
        Change::Remove(contact) => kernel.remove_contact(account, &contact).await?,
        Change::Set { contact, name, groups } => {
            if contact == *account {
                return Err(StanzaError::not_allowed("nobody is their own contact"));
            }
            kernel.set_contact(account, &contact, name, groups).await?;
        }
    }
    Ok(IqAnswer::Result(None))
}

/// What a client asks for.
#[derive(Debug, PartialEq)]
enum Change {
    Set { contact: BareJid, name: Option<String>, groups: Vec<String> },
    Remove(BareJid),
}

impl Change {
    /// Section 2.3.3 says which mistake gets which error.
    fn parse(query: &Element) -> Result<Change, StanzaError> {
        let mut items = query.children().filter(|child| child.is("item", ns::ROSTER));
        let (Some(item), None) = (items.next(), items.next()) else {
            return Err(StanzaError::bad_request("a roster set has exactly one item"));
        };
        let jid = item.attr("jid").ok_or_else(|| StanzaError::bad_request("item without jid"))?;
        let contact = jid.parse::<Jid>()?.bare();
        if item.attr("subscription") == Some("remove") {
            return Ok(Change::Remove(contact));
        }
        let too_long = |text: &str| text.chars().count() > MAX_TEXT;
        let name = item.attr("name").filter(|name| !name.is_empty()).map(str::to_owned);
        if name.as_deref().is_some_and(too_long) {
            return Err(StanzaError::not_acceptable("the name is too long"));
        }
        let mut groups = Vec::new();
        let mut seen = HashSet::new();
        for group in item.children().filter(|child| child.is("group", ns::ROSTER)) {
            let group = group.text().into_owned();
            if group.is_empty() || too_long(&group) || groups.len() >= MAX_GROUPS {
                return Err(StanzaError::not_acceptable("unusable group"));
            }
            if !seen.insert(group.clone()) {
                return Err(StanzaError::bad_request("the same group twice"));
            }
            groups.push(group);
        }
        Ok(Change::Set { contact, name, groups })
    }
}

#[cfg(test)]
mod tests {
    use wello_wire::error::Condition;

    use super::*;

    fn parse(items: &str) -> Result<Change, Condition> {
        let text = format!("<query xmlns='jabber:iq:roster'>{items}</query>");
        Change::parse(&text.parse().unwrap()).map_err(|error| error.condition)
    }

    #[test]
    fn mistakes_get_the_errors_of_section_2_3_3() {
        assert_eq!(parse(""), Err(Condition::BadRequest));
        assert_eq!(parse("<item jid='a@b'/><item jid='c@d'/>"), Err(Condition::BadRequest));
        assert_eq!(parse("<item/>"), Err(Condition::BadRequest));
        assert_eq!(parse("<item jid='@'/>"), Err(Condition::JidMalformed));
        let twice = "<item jid='a@b'><group>x</group><group>x</group></item>";
        assert_eq!(parse(twice), Err(Condition::BadRequest));
        assert_eq!(parse("<item jid='a@b'><group/></item>"), Err(Condition::NotAcceptable));
        let long = format!("<item jid='a@b' name='{}'/>", "x".repeat(MAX_TEXT + 1));
        assert_eq!(parse(&long), Err(Condition::NotAcceptable));
    }

    #[test]
    fn a_resource_and_what_is_not_the_clients_are_ignored() {
        let change = parse("<item jid='A@b/c' name='N' subscription='both' ask='subscribe'/>");
        let contact = "a@b".parse::<Jid>().unwrap().bare();
        let expected = Change::Set { contact, name: Some("N".into()), groups: vec![] };
        assert_eq!(change, Ok(expected));
    }
}
