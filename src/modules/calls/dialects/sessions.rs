//! A session of the focus for each stream: the ProtoXEP *Jingle Audio/Video Conferences*
//! (`urn:xmpp:jingle:av-conferences:0`), with what voice.channel and we add.

use wello_sfu::api::Mid;
use wello_wire::payload::jingle::{Action, Jingle};
use wello_wire::xml::Element;

use super::{Adapter, Offer, Portion, Withdrawal, is_focus, stream, users};

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
        withdrawal.end_or_removal().iter().map(Jingle::to_element).collect()
    }
}

/// Whose stream it is, as in XEP-0298 and in our own way.
fn whose(portion: &Portion<'_>) -> Vec<Element> {
    vec![is_focus(Some(users(std::slice::from_ref(portion)))), stream(portion)]
}
