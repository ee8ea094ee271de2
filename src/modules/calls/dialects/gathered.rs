//! As sessions, but one with the streams of all others: our own clients ask for it, so that a browser
//! has one connection for all that it gets.

use wello_sfu::api::Mid;
use wello_wire::ns;
use wello_wire::payload::jingle::{Action, Jingle};
use wello_wire::xml::Element;

use super::{Adapter, Offer, Portion, Withdrawal, is_focus, numbered, stream, users};

pub struct Gathered;

impl Adapter for Gathered {
    fn gathers(&self) -> bool {
        true
    }

    fn names_again(&self) -> bool {
        true
    }

    fn reports(&self) -> bool {
        true
    }

    fn is_told(&self) -> bool {
        true
    }

    fn name(&self, origin: &Mid, count: u64) -> Mid {
        numbered(origin, count)
    }

    fn offer(&self, offer: Offer<'_>) -> Vec<Element> {
        let whose = || {
            let streams = offer.portions.iter().map(with_contents);
            std::iter::once(is_focus(Some(users(&offer.portions)))).chain(streams).collect()
        };
        let jingle = match offer.is_first {
            true => Jingle {
                initiator: Some(offer.focus.clone()),
                contents: offer.with_transport(),
                others: whose(),
                bundle: offer.bundle,
                ..Jingle::new(Action::SessionInitiate, offer.sid)
            },
            false => Jingle {
                others: whose(),
                contents: offer.contents,
                bundle: offer.bundle,
                ..Jingle::new(Action::ContentAdd, offer.sid)
            },
        };
        vec![jingle.to_element()]
    }

    fn withdraw(&self, withdrawal: Withdrawal<'_>) -> Vec<Element> {
        withdrawal.end_or_removal().iter().map(Jingle::to_element).collect()
    }
}

/// Whose contents are whose.
fn with_contents(portion: &Portion<'_>) -> Element {
    let content =
        |name: &String| Element::new("content", ns::CALLS).with_attr("name", name.as_str());
    stream(portion).with_children(portion.names.iter().map(content))
}
