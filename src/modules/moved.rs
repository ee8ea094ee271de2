//! Contacts who move to another address (XEP-0283): a request of theirs that says so is verified, and then
//! answered for the account. What cannot be verified is a request as any other.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use wello_kernel::Kernel;
use wello_kernel::hooks::{Flow, Guard};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_store::{Subscription, SubscriptionRequest};
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::stanza::{IqType, Kind, PresenceType, Stanza};
use wello_wire::xml::Element;

pub struct Moved {
    /// Requests that are being verified.
    permits: Arc<Semaphore>,
}

const SPECS: &[Spec] = &[Spec {
    id: "XEP-0283",
    title: "Moved",
    version: "0.2.0",
    status: Status::Complete,
    host_features: &[],
    account_features: &[],
}];

/// More at once are left to the users.
const MAX_VERIFIED: usize = 100;
/// For the answer of the old server.
const PATIENCE: Duration = Duration::from_secs(30);

impl Default for Moved {
    fn default() -> Moved {
        Moved { permits: Arc::new(Semaphore::new(MAX_VERIFIED)) }
    }
}

impl Module for Moved {
    fn name(&self) -> &'static str {
        "moved"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.guard(self);
    }
}

/// What a request claims.
#[derive(Debug, PartialEq)]
struct Claim {
    account: BareJid,
    old: BareJid,
    new: BareJid,
}

impl Claim {
    fn of(stanza: &Stanza) -> Option<Claim> {
        let is_request = stanza.kind == Kind::Presence
            && stanza.presence_type() == Some(PresenceType::Subscribe);
        let moved = stanza.child("moved", ns::MOVED).filter(|_| is_request)?;
        let old = address_in(moved, "old-jid")?;
        let (account, new) = (stanza.to.as_ref()?.bare(), stanza.from.as_ref()?.bare());
        (old != new && account != new && account != old).then_some(Claim { account, old, new })
    }
}

/// The bare address that a child says.
fn address_in(moved: &Element, name: &str) -> Option<BareJid> {
    let address: Jid = moved.child(name, ns::MOVED)?.text().trim().parse().ok()?;
    (address.is_bare() && address.local().is_some()).then(|| address.bare())
}

#[async_trait]
impl Guard for Moved {
    fn concerns(&self, _kernel: &Kernel, stanza: &Stanza) -> bool {
        stanza.kind == Kind::Presence
    }

    async fn guard(&self, kernel: &Arc<Kernel>, stanza: &Stanza) -> Flow {
        let Some(claim) = Claim::of(stanza) else { return Flow::Next };
        if !kernel.hosts.contains(claim.account.domain()) {
            return Flow::Next;
        }
        let Some(before) = subscription(kernel, &claim).await else { return Flow::Next };
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else { return Flow::Next };
        // It waits in the store as any other: a server that ends meanwhile loses nothing.
        let request = SubscriptionRequest {
            contact: claim.new.to_string(),
            stanza: stanza.to_bytes().into(),
        };
        let account = claim.account.as_str();
        if let Err(error) = kernel.store.roster.add_request(account, &request).await {
            tracing::error!(%account, %error, "subscription request not stored");
            return Flow::Next;
        }
        let (kernel, stanza) = (Arc::clone(kernel), stanza.clone());
        let verify = async move {
            verify(&kernel, &claim, before, stanza).await;
            drop(permit);
        };
        // The answer may come over the connection that waits for this hook.
        #[expect(clippy::disallowed_methods, reason = "is over when its patience is")]
        tokio::spawn(verify);
        Flow::Handled
    }
}

/// How the old address is subscribed; `None` when it may not see the account's presence, or when the new one
/// may already or has asked before: then there is nothing to do that is not done for any request.
async fn subscription(kernel: &Kernel, claim: &Claim) -> Option<Subscription> {
    let (roster, account) = (&kernel.store.roster, claim.account.as_str());
    let old = roster.entry(account, claim.old.as_str()).await.ok()?.item?.subscription;
    let new = roster.entry(account, claim.new.as_str()).await.ok()?.item;
    let asked = roster.requests(account).await.ok()?;
    let is_new = new.is_none_or(|item| !sees(item.subscription))
        && asked.iter().all(|request| request.contact != claim.new.as_str());
    (sees(old) && is_new).then_some(old)
}

fn sees(subscription: Subscription) -> bool {
    matches!(subscription, Subscription::From | Subscription::Both)
}

async fn verify(kernel: &Arc<Kernel>, claim: &Claim, before: Subscription, request: Stanza) {
    let is_true = kernel
        .ask(
            claim.account.clone().into(),
            claim.old.clone().into(),
            IqType::Get,
            question(),
            PATIENCE,
        )
        .await
        .and_then(|answer| statement(&answer))
        .is_some_and(|new| new == claim.new);
    let (account, new) = (&claim.account, &claim.new);
    let removed = kernel.store.roster.remove_request(account.as_str(), new.as_str()).await;
    if let Err(error) = removed {
        tracing::error!(%account, %error, "a contact that moves is left to its user");
        return;
    }
    let approved = is_true && kernel.approve_in_advance(account, new).await.is_ok();
    // Approved in advance it is answered at once; else it is passed on, with what it claims.
    kernel.handle_inbound_subscription(PresenceType::Subscribe, account.clone(), request).await;
    if approved && let Err(error) = follow(kernel, claim, before).await {
        tracing::warn!(%account, %error, "a contact that moved keeps its old address");
    }
}

/// Takes leave of the old address, and asks the new one if the old one was asked, too.
async fn follow(
    kernel: &Arc<Kernel>,
    claim: &Claim,
    before: Subscription,
) -> Result<(), StanzaError> {
    let Claim { account, old, new } = claim;
    let say = async |type_, contact: &BareJid| {
        let stanza = Stanza::presence(type_).with_from(account.clone()).with_to(contact.clone());
        kernel.send_subscription(account, contact, type_, stanza).await
    };
    say(PresenceType::Unsubscribed, old).await?;
    if before == Subscription::Both {
        say(PresenceType::Subscribe, new).await?;
    }
    Ok(())
}

fn question() -> Element {
    let item = Element::new("item", ns::PUBSUB).with_attr("id", "current");
    let items = Element::new("items", ns::PUBSUB).with_attr("node", ns::MOVED).with_child(item);
    Element::new("pubsub", ns::PUBSUB).with_child(items)
}

/// The new address, as the old one says it: by a statement, or because it is gone.
fn statement(answer: &Stanza) -> Option<BareJid> {
    if answer.is_error() {
        let error = answer.children().find(|child| child.name() == "error")?;
        let uri = error.child("gone", ns::STANZA_ERRORS)?.text().into_owned();
        let address = uri.trim().strip_prefix("xmpp:")?;
        let address = address.split_once('?').map_or(address, |(address, _)| address);
        return address.parse().ok();
    }
    let items = answer.child("pubsub", ns::PUBSUB)?.child("items", ns::PUBSUB)?;
    let item = items.children().find(|item| item.attr("id") == Some("current"))?;
    address_in(item.child("moved", ns::MOVED)?, "new-jid")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stanza(text: &str) -> Stanza {
        Stanza::from_element(text.parse().unwrap()).unwrap()
    }

    fn claimed(attributes: &str, moved: &str) -> Option<Claim> {
        Claim::of(&stanza(&format!(
            "<presence xmlns='jabber:client' from='j@new.example' to='r@m.example' {attributes}>\
             <moved xmlns='urn:xmpp:moved:1'>{moved}</moved></presence>"
        )))
    }

    #[test]
    fn a_claim_names_a_bare_address_of_somebody_else() {
        let claim = claimed("type='subscribe'", "<old-jid>j@old.example</old-jid>").unwrap();
        assert_eq!(claim.old.as_str(), "j@old.example");
        assert_eq!((claim.new.as_str(), claim.account.as_str()), ("j@new.example", "r@m.example"));
        for (attributes, moved) in [
            ("", "<old-jid>j@old.example</old-jid>"),
            ("type='subscribed'", "<old-jid>j@old.example</old-jid>"),
            ("type='subscribe'", ""),
            ("type='subscribe'", "<old-jid>j@old.example/full</old-jid>"),
            ("type='subscribe'", "<old-jid>old.example</old-jid>"),
            ("type='subscribe'", "<old-jid>j@new.example</old-jid>"),
            ("type='subscribe'", "<old-jid>r@m.example</old-jid>"),
        ] {
            assert_eq!(claimed(attributes, moved), None, "{attributes} {moved}");
        }
    }

    #[test]
    fn the_old_address_says_where_its_owner_is() {
        let answer = |type_: &str, payload: &str| {
            let text = format!("<iq xmlns='jabber:client' id='1' type='{type_}'>{payload}</iq>");
            statement(&stanza(&text)).map(|jid| jid.to_string())
        };
        let items = |id: &str, jid: &str| {
            format!(
                "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:moved:1'>\
                 <item id='{id}'><moved xmlns='urn:xmpp:moved:1'><new-jid>{jid}</new-jid></moved>\
                 </item></items></pubsub>"
            )
        };
        let gone = |uri: &str| {
            format!(
                "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>{uri}</gone>\
                 </error>"
            )
        };
        assert_eq!(answer("result", &items("current", "a@b")).as_deref(), Some("a@b"));
        assert_eq!(answer("result", &items("other", "a@b")), None);
        assert_eq!(answer("result", &items("current", "a@b/c")), None);
        assert_eq!(answer("error", &gone("xmpp:a@b")).as_deref(), Some("a@b"));
        assert_eq!(answer("error", &gone("mailto:a@b")), None);
        assert_eq!(answer("error", &items("current", "a@b")), None);
    }
}
