//! What an ejabberd keeps of an account becomes what a file of XEP-0227 would say.

use wello_wire::ns;
use wello_wire::xml::Element;

use crate::transfer::NS_PRIVACY;

/// A contact as both storages keep it.
pub struct Contact<'a> {
    pub jid: String,
    pub name: &'a str,
    pub subscription: Subscription,
    pub ask: Ask,
    /// What they wrote with their request.
    pub message: &'a str,
    pub groups: Vec<&'a str>,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Subscription {
    None,
    To,
    From,
    Both,
}

/// What waits for an answer.
#[derive(Clone, Copy, PartialEq)]
pub enum Ask {
    None,
    /// Ours.
    Out,
    /// Theirs.
    In,
    Both,
}

impl Subscription {
    /// The first letter, or the whole word.
    pub fn parse(text: &str) -> Subscription {
        match text {
            "T" | "to" => Subscription::To,
            "F" | "from" => Subscription::From,
            "B" | "both" => Subscription::Both,
            _ => Subscription::None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Subscription::None => "none",
            Subscription::To => "to",
            Subscription::From => "from",
            Subscription::Both => "both",
        }
    }
}

impl Ask {
    /// The first letter, or the whole word.
    pub fn parse(text: &str) -> Ask {
        match text {
            "O" | "S" | "out" | "subscribe" => Ask::Out,
            "I" | "in" => Ask::In,
            "B" | "both" => Ask::Both,
            _ => Ask::None,
        }
    }
}

impl Contact<'_> {
    /// The contact and its request, each if there is one.
    pub fn to_elements(&self) -> Vec<Element> {
        let mut parts = Vec::new();
        // Who only asks is no contact.
        if self.subscription != Subscription::None || self.ask != Ask::In {
            let ask = matches!(self.ask, Ask::Out | Ask::Both).then_some("subscribe");
            let groups = self.groups.iter();
            let groups = groups.map(|group| Element::new("group", ns::ROSTER).with_text(*group));
            let item = Element::new("item", ns::ROSTER)
                .with_attr("jid", self.jid.as_str())
                .with_attr_opt("name", Some(self.name).filter(|name| !name.is_empty()))
                .with_attr("subscription", self.subscription.name())
                .with_attr_opt("ask", ask)
                .with_children(groups);
            parts.push(Element::new("query", ns::ROSTER).with_child(item));
        }
        if matches!(self.ask, Ask::In | Ask::Both) {
            let status = Some(self.message).filter(|message| !message.is_empty());
            let status = status.map(|text| Element::new("status", ns::CLIENT).with_text(text));
            let request = Element::new("presence", ns::CLIENT)
                .with_attr("type", "subscribe")
                .with_attr("from", self.jid.as_str())
                .with_children(status);
            parts.push(request);
        }
        parts
    }
}

/// A rule of a privacy list (XEP-0016), as far as it may become blocking.
pub struct Rule {
    pub kind: Option<&'static str>,
    pub value: String,
    pub denies: bool,
    /// It is about all stanzas.
    pub is_general: bool,
}

/// The list that holds by default.
pub fn privacy(rules: &[Rule]) -> Element {
    const NAME: &str = "default";
    let items = rules.iter().map(|rule| {
        let narrow = (!rule.is_general).then(|| Element::new("message", NS_PRIVACY));
        Element::new("item", NS_PRIVACY)
            .with_attr_opt("type", rule.kind)
            .with_attr_opt("value", rule.kind.map(|_| rule.value.as_str()))
            .with_attr("action", if rule.denies { "deny" } else { "allow" })
            .with_children(narrow)
    });
    let list = Element::new("list", NS_PRIVACY).with_attr("name", NAME).with_children(items);
    Element::new("query", NS_PRIVACY)
        .with_child(Element::new("default", NS_PRIVACY).with_attr("name", NAME))
        .with_child(list)
}
