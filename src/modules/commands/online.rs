//! Commands about who is online (XEP-0133, sections 4.20 and 4.23).

use std::collections::BTreeSet;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_wire::jid::BareJid;
use wello_wire::ns;
use wello_wire::payload::data_form::{DataForm, Field};
use wello_wire::stanza::{MessageType, Stanza};
use wello_wire::xml::Element;

use super::command::{AdHocCommand, Context, Outcome, form, result, value, values};

pub(super) fn all() -> Vec<Box<dyn AdHocCommand>> {
    vec![Box::new(List), Box::new(Announce)]
}

/// The accounts of a host with at least one session.
pub(super) fn online(kernel: &Kernel, host: &BareJid) -> BTreeSet<BareJid> {
    let sessions = kernel.sessions.all();
    let here = sessions.iter().filter(|session| session.jid.domain() == host.as_str());
    here.map(|session| session.bare()).collect()
}

struct List;

/// How many accounts a list has unless more are asked for.
const DEFAULT_ITEMS: usize = 200;
/// More would not fit into a stanza that clients take.
const MAX_ITEMS: usize = 2000;

#[async_trait]
impl AdHocCommand for List {
    fn node(&self) -> &'static str {
        "http://jabber.org/protocol/admin#get-online-users-list"
    }

    fn name(&self) -> &'static str {
        "List the users who are online"
    }

    fn forms(&self) -> Vec<DataForm> {
        let counts = ["25", "50", "75", "100", "150", "200", "none"];
        let field = Field::list_single("max_items", "How many at most").with_value("200");
        let field = counts.into_iter().fold(field, |field, count| field.with_option(count, count));
        vec![form(self.name(), "Say how many users you want to see.").with(field)]
    }

    async fn run(&self, context: &Context<'_>, filled: &[DataForm]) -> Outcome {
        let limit = limit(value(filled, "max_items"));
        let online = online(context.kernel, context.host);
        let jids = online.iter().take(limit).map(ToString::to_string);
        let field = Field::jid_multi("onlineuserjids", "Users who are online");
        Outcome::Result(result().with(field.with_values(jids)))
    }
}

fn limit(asked: &str) -> usize {
    match asked {
        "none" => MAX_ITEMS,
        number => number.parse().unwrap_or(DEFAULT_ITEMS).min(MAX_ITEMS),
    }
}

struct Announce;

#[async_trait]
impl AdHocCommand for Announce {
    fn node(&self) -> &'static str {
        "http://jabber.org/protocol/admin#announce"
    }

    fn name(&self) -> &'static str {
        "Send an announcement to the users who are online"
    }

    fn forms(&self) -> Vec<DataForm> {
        let field = Field::text_multi("announcement", "Announcement").required();
        let subject = Field::text_single("subject", "Subject");
        vec![form(self.name(), "Everybody gets it who is online now.").with(subject).with(field)]
    }

    async fn run(&self, context: &Context<'_>, filled: &[DataForm]) -> Outcome {
        let text = values(filled, "announcement").join("\n");
        let message = announcement(context.host, value(filled, "subject"), &text);
        let sessions = context.kernel.sessions.all();
        let here = |domain: &str| domain == context.host.as_str();
        let mut sent = 0;
        for session in sessions.iter().filter(|s| s.is_available() && here(s.jid.domain())) {
            context.kernel.route(message.clone().with_to(session.jid.clone())).await;
            sent += 1;
        }
        Outcome::Done(format!("sent to {sent} sessions"))
    }
}

/// A headline, so that nothing of it is stored for those who are away.
fn announcement(host: &BareJid, subject: &str, text: &str) -> Stanza {
    let subject = (!subject.is_empty())
        .then(|| Element::new("subject", ns::CLIENT).with_text(subject.to_owned()));
    Stanza::message(MessageType::Headline)
        .with_from(host.clone())
        .with_children(subject)
        .with_child(Element::new("body", ns::CLIENT).with_text(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_bounded_whatever_is_asked_for() {
        assert_eq!(limit("25"), 25);
        assert_eq!(limit("none"), MAX_ITEMS);
        assert_eq!(limit("99999999"), MAX_ITEMS);
        assert_eq!(limit(""), DEFAULT_ITEMS);
    }

    #[test]
    fn an_announcement_comes_from_the_host() {
        let host = BareJid::from_parts(None, "b").unwrap();
        let message = announcement(&host, "", "one\ntwo");
        assert_eq!(message.body().as_deref(), Some("one\ntwo"));
        assert!(!message.has_child("subject", ns::CLIENT));
        assert!(announcement(&host, "s", "x").has_child("subject", ns::CLIENT));
    }
}
