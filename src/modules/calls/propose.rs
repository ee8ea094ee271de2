//! Ringing the focus before calling it (XEP-0353): clients that know calls between two do it.

use std::sync::Arc;

use wello_kernel::Kernel;
use wello_wire::error::StanzaError;
use wello_wire::jid::{FullJid, Jid};
use wello_wire::ns;
use wello_wire::payload::jingle::Condition;
use wello_wire::stanza::{MessageType, Stanza};
use wello_wire::xml::Element;

use super::Calls;
use super::run::{Asked, post};

/// The device of the focus that answers: such clients call the one that has taken their call.
const DEVICE: &str = "focus";

/// Whether this is the address of a focus, which has one device.
pub(super) fn is_focus(address: &Jid) -> bool {
    address.local().is_some() && address.resource().is_none_or(|device| device == DEVICE)
}

impl Calls {
    /// A message to the focus; it understands no other ones than those of calls.
    pub(super) async fn propose(
        &self,
        kernel: &Arc<Kernel>,
        asked: &Asked<'_>,
    ) -> Result<(), StanzaError> {
        let stanza = asked.stanza;
        let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else { return Ok(()) };
        let Some(sid) = proposed(stanza)? else { return Ok(()) };
        let hall = self.hall(to)?;
        let from = FullJid::try_from(from.clone());
        let from = from.map_err(|_| StanzaError::bad_request("only sessions call"))?;
        let answer = answer(sid, self.admit(&hall.place, &from).err());
        let message = Stanza::message(MessageType::Chat)
            .with_from(to.with_resource(DEVICE)?)
            .with_to(from)
            .with_child(answer)
            // Section 3: the log of calls is complete on all devices.
            .with_child(Element::new("store", ns::HINTS));
        for message in post(kernel, asked.session, vec![message]) {
            kernel.route(message).await;
        }
        Ok(())
    }
}

/// The session that somebody wants to begin; `None` when a call is only told about.
fn proposed(message: &Stanza) -> Result<Option<&str>, StanzaError> {
    let notice = message.children().find(|child| child.ns() == ns::JINGLE_MESSAGE);
    let notice = notice.ok_or_else(|| StanzaError::service_unavailable(""))?;
    let sid = notice.attr("id").filter(|id| !id.is_empty());
    let sid = sid.ok_or_else(|| StanzaError::bad_request("a call has an id"))?;
    if notice.name() != "propose" {
        return Ok(None);
    }
    match notice.child("description", ns::JINGLE_RTP) {
        Some(_) => Ok(Some(sid)),
        None => Err(StanzaError::bad_request("a call of what?")),
    }
}

/// The focus never rings: it answers at once.
fn answer(sid: &str, refusal: Option<StanzaError>) -> Element {
    let answer = |name: &'static str| Element::new(name, ns::JINGLE_MESSAGE).with_attr("id", sid);
    let Some(refusal) = refusal else { return answer("proceed") };
    let text = refusal.text.as_deref().unwrap_or_default();
    let reason = Element::new("reason", ns::JINGLE)
        .with_child(Element::new(Condition::Decline.name(), ns::JINGLE))
        .with_child(Element::new("text", ns::JINGLE).with_text(text));
    answer("reject").with_child(reason)
}

#[cfg(test)]
mod tests {
    use wello_wire::error::Condition as Flaw;

    use super::*;

    fn message(inner: &str) -> Stanza {
        let text = format!("<message xmlns='jabber:client' type='chat'>{inner}</message>");
        Stanza::from_element(text.parse().unwrap()).unwrap()
    }

    #[test]
    fn only_proposals_are_answered() {
        let notice = |name: &str, id: &str, inner: &str| {
            message(&format!("<{name} xmlns='urn:xmpp:jingle-message:0'{id}>{inner}</{name}>"))
        };
        let audio = "<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'/>";
        let read = |message: &Stanza| {
            let sid = proposed(message).map_err(|error| error.condition)?;
            Ok(sid.map(str::to_owned))
        };
        assert_eq!(read(&notice("propose", " id='a'", audio)), Ok(Some("a".to_owned())));
        assert_eq!(read(&notice("retract", " id='a'", "")), Ok(None));
        assert_eq!(read(&notice("finish", " id='a'", "")), Ok(None));
        assert_eq!(read(&notice("propose", "", audio)), Err(Flaw::BadRequest));
        assert_eq!(read(&notice("propose", " id='a'", "")), Err(Flaw::BadRequest));
        assert_eq!(read(&message("<body>hello</body>")), Err(Flaw::ServiceUnavailable));
    }

    #[test]
    fn the_answer_says_why_not() {
        assert_eq!(
            answer("a", None).to_string(),
            "<proceed xmlns='urn:xmpp:jingle-message:0' id='a'/>"
        );
        let rejected = answer("a", Some(StanzaError::forbidden("not in the room"))).to_string();
        assert!(
            rejected.contains("<decline/>") && rejected.contains("not in the room"),
            "{rejected}"
        );
    }

    #[test]
    fn the_focus_has_one_device() {
        let is = |address: &str| is_focus(&address.parse().unwrap());
        assert!(is("hall@calls.localhost") && is("hall@calls.localhost/focus"));
        assert!(!is("hall@calls.localhost/other") && !is("calls.localhost"));
    }
}
