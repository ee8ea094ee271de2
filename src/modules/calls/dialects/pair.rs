//! One session each way, with all streams of the others in the second: `tigase:meet:0`
//! (Tigase Meet Protocol, section 3.2), as Siskin, Beagle and Stork speak it.

use wello_sfu::api::Mid;
use wello_wire::ns;
use wello_wire::payload::jingle::{Action, Condition, Jingle};
use wello_wire::xml::Element;

use super::{Adapter, Offer, Portion, Withdrawal, numbered, terminated};

pub struct Pair;

impl Adapter for Pair {
    fn gathers(&self) -> bool {
        true
    }

    fn lingers(&self) -> bool {
        true
    }

    fn name(&self, origin: &Mid, count: u64) -> Mid {
        numbered(origin, count)
    }

    fn offer(&self, offer: Offer<'_>) -> Vec<Element> {
        let action = match offer.is_first {
            true => Action::SessionInitiate,
            false => Action::ContentAdd,
        };
        let jingle = Jingle {
            initiator: offer.is_first.then(|| offer.focus.clone()),
            contents: offer.with_transport(),
            bundle: offer.bundle,
            ..Jingle::new(action, offer.sid)
        };
        // First whose the contents are: clients look it up when the media comes.
        vec![publishers("joined", &offer.portions), jingle.to_element()]
    }

    fn withdraw(&self, withdrawal: Withdrawal<'_>) -> Vec<Element> {
        if withdrawal.is_last && !withdrawal.open {
            return vec![terminated(withdrawal.sid, Condition::Cancel).to_element()];
        }
        let removal = withdrawal.removal().map(|removal| removal.to_element());
        let left = removal.is_some().then(|| publishers("left", &withdrawal.portions));
        removal.into_iter().chain(left).collect()
    }
}

/// Section 3.2.6. COMPAT: the examples say `participant`, the text and the programs `publisher`.
fn publishers(what: &'static str, portions: &[Portion<'_>]) -> Element {
    let stream = |name: &String| Element::new("stream", ns::MEET).with_attr("mid", name.as_str());
    let publisher = |portion: &Portion<'_>| {
        Element::new("publisher", ns::MEET)
            .with_attr("jid", portion.address())
            .with_children(portion.names.iter().map(stream))
    };
    Element::new(what, ns::MEET).with_children(portions.iter().map(publisher))
}
