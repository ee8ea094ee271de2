//! Everything within the client's own session, each stream with a transport of its own: Movim and
//! its SFU, Galener (movim#1614). There is no document of it but their source.

use wello_sfu::api::Mid;
use wello_wire::ns;
use wello_wire::payload::jingle::{Action, Jingle, Senders};
use wello_wire::xml::Element;

use super::{Adapter, Offer, Portion, TAG, Withdrawal, numbered};

pub struct Contents;

impl Adapter for Contents {
    fn stays_home(&self) -> bool {
        true
    }

    fn name(&self, origin: &Mid, count: u64) -> Mid {
        numbered(origin, count)
    }

    /// COMPAT: Movim reads `senders` as the direction in an SDP of whoever has said it; by XEP-0166,
    /// section 7.3, it would be `initiator` on both sides.
    fn taken(&self) -> Senders {
        Senders::Responder
    }

    fn offer(&self, offer: Offer<'_>) -> Vec<Element> {
        let jingle = Jingle {
            contents: offer.with_transport(),
            others: offer.portions.first().map(tag).into_iter().collect(),
            bundle: offer.bundle,
            ..Jingle::new(Action::ContentAdd, offer.sid)
        };
        vec![jingle.to_element()]
    }

    fn withdraw(&self, withdrawal: Withdrawal<'_>) -> Vec<Element> {
        let others = withdrawal.portions.first().map(tag).into_iter().collect();
        let removal = withdrawal.removal().map(|removal| Jingle { others, ..removal });
        removal.iter().map(Jingle::to_element).collect()
    }

    fn inform(&self, sid: &str, about: &Portion<'_>, mut others: Vec<Element>) -> Jingle {
        others.push(tag(about));
        Jingle { others, ..Jingle::new(Action::SessionInfo, sid) }
    }
}

fn tag(portion: &Portion<'_>) -> Element {
    Element::new(TAG, ns::JINGLE_PARTICIPANT).with_attr("participant", portion.address())
}
