//! A session of the focus for each stream: the ProtoXEP *Jingle Audio/Video Conferences*
//! (`urn:xmpp:jingle:av-conferences:0`), with what voice.channel and we add.

use wello_sfu::api::Mid;
use wello_wire::ns;
use wello_wire::payload::jingle::{Action, Condition, Jingle};
use wello_wire::xml::Element;

use super::{Adapter, Offer, Portion, Withdrawal, is_focus, terminated};

pub struct Sessions;

impl Adapter for Sessions {
    fn is_told(&self) -> bool {
        true
    }

    fn name(&self, origin: &Mid, _count: u64) -> Mid {
        origin.clone()
    }

    fn offer(&self, offer: Offer<'_>) -> Vec<Element> {
        let jingle = match offer.is_first {
            true => Jingle {
                initiator: Some(offer.focus.clone()),
                contents: offer.with_transport(),
                bundle: offer.bundle,
                others: offer.portions.first().map(whose).unwrap_or_default(),
                ..Jingle::new(Action::SessionInitiate, offer.sid)
            },
            false => {
                Jingle { contents: offer.contents, ..Jingle::new(Action::ContentAdd, offer.sid) }
            }
        };
        vec![jingle.to_element()]
    }

    fn withdraw(&self, withdrawal: Withdrawal<'_>) -> Vec<Element> {
        let jingle = if withdrawal.is_last {
            let why = if withdrawal.open { Condition::Success } else { Condition::Cancel };
            Some(terminated(withdrawal.sid, why))
        } else {
            withdrawal.removal()
        };
        jingle.iter().map(Jingle::to_element).collect()
    }
}

/// Whose stream it is, as in XEP-0298 and in our own way.
fn whose(portion: &Portion<'_>) -> Vec<Element> {
    let occupant = &portion.sender.occupant;
    let text = Element::new("display-text", ns::COIN).with_text(occupant.resource());
    let user = Element::new("user", ns::COIN)
        .with_attr("entity", format!("xmpp:{}", portion.address()))
        .with_child(text);
    let stream = Element::new("stream", ns::CALLS)
        .with_attr("id", portion.stream)
        .with_attr("occupant", occupant.as_str());
    vec![is_focus(Some(Element::new("users", ns::COIN).with_child(user))), stream]
}
