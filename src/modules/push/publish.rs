//! What an app server is told (sections 7 and 8.2).

use wello_kernel::Kernel;
use wello_store::PushService;
use wello_wire::error::{Condition, ErrorType, StanzaError};
use wello_wire::ns;
use wello_wire::payload::data_form::{DataForm, Field, FormKind};
use wello_wire::stanza::Stanza;
use wello_wire::xml::Element;

use super::wake::Wake;

/// One thing that a device is woken for; several become one when they come close together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    wake: Wake,
    sender: Option<String>,
    body: Option<String>,
    /// How many ask to see the user's presence, where that is the news.
    requests: Option<usize>,
}

/// Characters of a body: services behind the app server take 4 KiB altogether.
const MAX_BODY: usize = 500;

impl Notice {
    pub(super) fn of(stanza: &Stanza, wake: Wake, kernel: &Kernel) -> Notice {
        let config = &kernel.config.push;
        let body = stanza.body().filter(|body| config.with_body && !body.is_empty());
        let body = body.map(|body| body.chars().take(MAX_BODY).collect());
        let placeholder = Some(config.placeholder.clone()).filter(|text| !text.is_empty());
        Notice {
            wake,
            sender: stanza.from.as_ref().filter(|_| config.with_sender).map(ToString::to_string),
            body: body.or(placeholder).filter(|_| wake.is_loud() && wake != Wake::Request),
            requests: None,
        }
    }

    #[cfg(test)]
    pub(super) fn bare(wake: Wake) -> Notice {
        Notice { wake, sender: None, body: None, requests: None }
    }

    pub(super) fn with_requests(self, count: usize) -> Notice {
        Notice { requests: Some(count), ..self }
    }

    /// Whether it adds to what is unread.
    pub(super) fn is_message(&self) -> bool {
        self.wake != Wake::Request
    }

    /// The later of two, but as loud as the louder one.
    pub(super) fn followed_by(self, later: Notice) -> Notice {
        let requests = later.requests.or(self.requests);
        let louder = if later.wake >= self.wake { later } else { self };
        Notice { requests, ..louder }
    }

    /// The payload of the IQ. `count` is of messages since the device was last there.
    pub(super) fn to_element(&self, service: &PushService, count: u32) -> Element {
        let single = |var: &str, value: &str| Field::untyped(var).with_value(value);
        let mut form = DataForm::typed(FormKind::Submit, ns::PUSH_SUMMARY);
        if count > 0 {
            form = form.with(single("message-count", &count.to_string()));
        }
        if let Some(requests) = self.requests {
            form = form.with(single("pending-subscription-count", &requests.to_string()));
        }
        if let Some(sender) = &self.sender {
            form = form.with(single("last-message-sender", sender));
        }
        if let Some(body) = &self.body {
            form = form.with(single("last-message-body", body));
        }
        let notification = Element::new("notification", ns::PUSH).with_child(form.to_element());
        let notification = notification.with_children(self.wake.to_children());
        let item = Element::new("item", ns::PUBSUB).with_child(notification);
        let node = Some(service.node.as_str()).filter(|node| !node.is_empty());
        let publish =
            Element::new("publish", ns::PUBSUB).with_attr_opt("node", node).with_child(item);
        Element::new("pubsub", ns::PUBSUB).with_child(publish).with_children(options(service))
    }
}

fn options(service: &PushService) -> Option<Element> {
    let form = std::str::from_utf8(service.options.as_deref()?).ok()?.parse().ok()?;
    Some(Element::new("publish-options", ns::PUBSUB).with_child(form))
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Published,
    /// It may work later.
    Later,
    /// It will not (section 8.1).
    Never,
}

pub(super) fn outcome(answer: Option<&Stanza>) -> Outcome {
    match answer {
        None => Outcome::Later,
        Some(answer) if !answer.is_error() => Outcome::Published,
        Some(answer) => {
            let error = answer.child("error", ns::CLIENT).map(StanzaError::from_element);
            error.map_or(Outcome::Later, |error| judge(&error))
        }
    }
}

/// An app server that cannot be reached may be back; one that does not know the node will not.
fn judge(error: &StanzaError) -> Outcome {
    match error.condition {
        _ if error.error_type == ErrorType::Wait => Outcome::Later,
        Condition::InternalServerError
        | Condition::RemoteServerNotFound
        | Condition::RemoteServerTimeout
        | Condition::ServiceUnavailable => Outcome::Later,
        _ => Outcome::Never,
    }
}
