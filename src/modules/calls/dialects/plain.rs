//! One session both ways: what clients know that only make calls between two. All others are one to
//! them, so that nothing is offered or taken back.

use wello_sfu::api::Mid;
use wello_wire::payload::jingle::Senders;
use wello_wire::xml::Element;

use super::{Adapter, Offer, Withdrawal};

pub struct Plain;

impl Adapter for Plain {
    fn mixes(&self) -> bool {
        true
    }

    fn name(&self, origin: &Mid, _count: u64) -> Mid {
        origin.clone()
    }

    fn taken(&self) -> Senders {
        Senders::Both
    }

    fn silenced(&self) -> Senders {
        Senders::Responder
    }

    fn offer(&self, _offer: Offer<'_>) -> Vec<Element> {
        Vec::new()
    }

    fn withdraw(&self, _withdrawal: Withdrawal<'_>) -> Vec<Element> {
        Vec::new()
    }
}
