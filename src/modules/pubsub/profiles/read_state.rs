//! What has been read (XEP-0490), published by the server when a message to the chat says so.

use wello_wire::ns;
use wello_wire::stanza::{Kind, MessageType, Stanza};
use wello_wire::xml::Element;

use super::super::own::Own;
use super::super::refusals::Refusal;

pub(crate) fn is_mark(child: &Element) -> bool {
    child.is("displayed", ns::MDS)
}

/// The mark in a message of a client, which asks for assistance (section 5).
pub(crate) fn mark(stanza: &Stanza) -> Option<&Element> {
    let is_asked = stanza.kind == Kind::Message && stanza.message_type() != MessageType::Error;
    stanza.child("displayed", ns::MDS).filter(|_| is_asked)
}

/// Section 5.2: under the address to which the message goes.
pub(crate) async fn publish(own: &Own<'_>, chat: &str, mark: Element) -> Result<(), Refusal> {
    own.publish(ns::MDS, Some(chat), mark).await
}
