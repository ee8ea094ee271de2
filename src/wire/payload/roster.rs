//! The roster (RFC 6121 §2).

use thiserror::Error;

use super::{
    PayloadError,
    dom::{Build, expect, flag, jid, owned, text_of},
};
use crate::{error::StanzaError, jid::BareJid, ns, xml::Element};

/// Most octets in a name or group: those of a JID part, as other servers have it.
pub const MAX_NAME_BYTES: usize = 1023;
/// Most groups of one contact; clients show a handful.
pub const MAX_GROUPS: usize = 64;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Subscription {
    #[default]
    None,
    To,
    From,
    Both,
    /// Only in what a client sends and in pushes.
    Remove,
}

impl Subscription {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::To => "to",
            Self::From => "from",
            Self::Both => "both",
            Self::Remove => "remove",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "to" => Some(Self::To),
            "from" => Some(Self::From),
            "both" => Some(Self::Both),
            "remove" => Some(Self::Remove),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterItem {
    pub jid: BareJid,
    pub name: Option<String>,
    pub subscription: Subscription,
    /// `ask='subscribe'`: the contact has not answered yet.
    pub ask: bool,
    /// The contact may subscribe without asking (RFC 6121 §3.4).
    pub approved: bool,
    pub groups: Vec<String>,
}

/// Why a server does not take an item (RFC 6121 §2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RosterRefusal {
    #[error("the name is longer than 1023 octets")]
    NameTooLong,
    #[error("a group is longer than 1023 octets")]
    GroupTooLong,
    #[error("a group without a name")]
    EmptyGroup,
    #[error("a group appears twice")]
    DuplicateGroup,
    #[error("more than 64 groups")]
    TooManyGroups,
}

impl From<RosterRefusal> for StanzaError {
    fn from(refusal: RosterRefusal) -> Self {
        match refusal {
            RosterRefusal::DuplicateGroup => Self::bad_request(refusal.to_string()),
            _ => Self::not_acceptable(refusal.to_string()),
        }
    }
}

impl RosterItem {
    #[must_use]
    pub const fn new(jid: BareJid) -> Self {
        Self {
            jid,
            name: None,
            subscription: Subscription::None,
            ask: false,
            approved: false,
            groups: Vec::new(),
        }
    }

    fn parse(item: &Element) -> Result<Self, PayloadError> {
        let groups = item.children().filter(|c| c.is("group", ns::ROSTER));
        Ok(Self {
            jid: BareJid::try_from(jid(item, "jid")?)?,
            name: owned(item, "name").filter(|name| !name.is_empty()),
            // A client's value is ignored unless it is "remove" (RFC 6121 §2.1.2.5).
            subscription: item
                .attr("subscription")
                .and_then(Subscription::from_name)
                .unwrap_or_default(),
            ask: item.attr("ask") == Some("subscribe"),
            approved: flag(item, "approved")?,
            groups: groups.map(text_of).collect(),
        })
    }

    fn to_element(&self) -> Element {
        let groups = self
            .groups
            .iter()
            .map(|group| Element::new("group", ns::ROSTER).with_text(group.as_str()));
        Element::new("item", ns::ROSTER)
            .with_attr("jid", self.jid.as_str())
            .with_attr_opt("name", self.name.as_deref())
            .with_attr("subscription", self.subscription.as_str())
            .with_attr_opt("ask", self.ask.then_some("subscribe"))
            .flag("approved", self.approved)
            .with_children(groups)
    }

    /// Holds what a client sent against the limits.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(&self) -> Result<(), RosterRefusal> {
        if self.name.as_ref().is_some_and(|n| n.len() > MAX_NAME_BYTES) {
            return Err(RosterRefusal::NameTooLong);
        }
        if self.groups.len() > MAX_GROUPS {
            return Err(RosterRefusal::TooManyGroups);
        }
        for (position, group) in self.groups.iter().enumerate() {
            if group.is_empty() {
                return Err(RosterRefusal::EmptyGroup);
            }
            if group.len() > MAX_NAME_BYTES {
                return Err(RosterRefusal::GroupTooLong);
            }
            if self.groups[..position].contains(group) {
                return Err(RosterRefusal::DuplicateGroup);
            }
        }
        Ok(())
    }
}

/// The `<query/>` of requests, answers and pushes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roster {
    /// Absent when the sender has no versioning, empty when it has no version yet.
    pub ver: Option<String>,
    pub items: Vec<RosterItem>,
}

impl Roster {
    pub fn parse(query: &Element) -> Result<Self, PayloadError> {
        expect(query, "query", ns::ROSTER)?;
        let items = query.children().filter(|c| c.is("item", ns::ROSTER));
        Ok(Self {
            ver: owned(query, "ver"),
            items: items.map(RosterItem::parse).collect::<Result<_, _>>()?,
        })
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        Element::new("query", ns::ROSTER)
            .with_attr_opt("ver", self.ver.as_deref())
            .with_children(self.items.iter().map(RosterItem::to_element))
    }

    /// The one item of a roster set (RFC 6121 §2.1.5). Of what the client says about the
    /// subscription only `remove` counts.
    pub fn into_set(self) -> Result<RosterItem, PayloadError> {
        let [mut item] = <[RosterItem; 1]>::try_from(self.items)
            .map_err(|_| PayloadError::Invalid("the number of items"))?;
        if item.subscription != Subscription::Remove {
            item.subscription = Subscription::None;
        }
        item.ask = false;
        item.approved = false;
        Ok(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::Condition, payload::dom::el};

    fn roster(items: &str) -> Result<Roster, PayloadError> {
        Roster::parse(&el(&format!("<query xmlns='jabber:iq:roster' ver='7'>{items}</query>")))
    }

    fn item(change: impl FnOnce(&mut RosterItem)) -> RosterItem {
        let mut item = RosterItem::new("romeo@example.net".parse().unwrap());
        change(&mut item);
        item
    }

    #[test]
    fn round_trip() {
        let query = el("<query xmlns='jabber:iq:roster' ver='phx15'>\
             <item jid='romeo@example.net' name='Romeo' subscription='both' approved='true'>\
             <group>Friends</group><group>Lovers</group></item>\
             <item jid='mercutio@example.com' subscription='none' ask='subscribe'/></query>");
        let read = Roster::parse(&query).unwrap();
        assert_eq!(read.items[0].groups, ["Friends", "Lovers"]);
        assert!(read.items[1].ask && !read.items[1].approved);
        assert_eq!(read.to_element(), query);
    }

    #[test]
    fn lenient_and_strict() {
        let odd =
            roster("<x/><item jid='A@B' name='' ask='maybe' subscription='all' y='z'><x/></item>")
                .unwrap();
        assert_eq!(odd.items, [RosterItem::new("a@b".parse().unwrap())]);
        assert_eq!(roster("<item/>"), Err(PayloadError::Missing("jid")));
        assert!(matches!(roster("<item jid='@'/>"), Err(PayloadError::Jid(_))));
        assert!(matches!(roster("<item jid='a@b/c'/>"), Err(PayloadError::Jid(_))));
    }

    #[test]
    fn sets_have_one_item_and_no_say_in_subscriptions() {
        let set = |items| roster(items).unwrap().into_set();
        let taken = set("<item jid='a@b' subscription='both' ask='subscribe' approved='1'/>");
        assert_eq!(taken, Ok(RosterItem::new("a@b".parse().unwrap())));
        let removed = set("<item jid='a@b' subscription='remove'/>").unwrap();
        assert_eq!(removed.subscription, Subscription::Remove);
        assert!(set("").is_err());
        assert!(set("<item jid='a@b'/><item jid='c@d'/>").is_err());
    }

    #[test]
    fn limits() {
        let long = || "x".repeat(MAX_NAME_BYTES + 1);
        assert_eq!(item(|i| i.name = Some("x".repeat(MAX_NAME_BYTES))).check(), Ok(()));
        let cases = [
            (item(|i| i.name = Some(long())), RosterRefusal::NameTooLong),
            (item(|i| i.groups = vec![long()]), RosterRefusal::GroupTooLong),
            (item(|i| i.groups = vec![String::new()]), RosterRefusal::EmptyGroup),
            (
                item(|i| i.groups = vec!["a".into(), "b".into(), "a".into()]),
                RosterRefusal::DuplicateGroup,
            ),
            (
                item(|i| i.groups = (0..=MAX_GROUPS).map(|n| n.to_string()).collect()),
                RosterRefusal::TooManyGroups,
            ),
        ];
        for (item, refusal) in cases {
            assert_eq!(item.check(), Err(refusal));
        }
        let condition = |refusal| StanzaError::from(refusal).condition;
        assert_eq!(condition(RosterRefusal::DuplicateGroup), Condition::BadRequest);
        assert_eq!(condition(RosterRefusal::EmptyGroup), Condition::NotAcceptable);
    }
}
