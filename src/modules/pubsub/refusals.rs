//! Why a request is refused, and the stanza error for it (XEP-0060, sections 6 to 8).

use wello_store::StoreError;
use wello_wire::error::{ErrorType, StanzaError};
use wello_wire::ns;
use wello_wire::payload::PayloadError;
use wello_wire::xml::Element;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Refusal {
    BadRequest(&'static str),
    ClosedNode,
    Conflict,
    Forbidden(&'static str),
    InvalidJid,
    InvalidOptions,
    InvalidPayload(&'static str),
    ItemForbidden,
    ItemRequired,
    JidRequired,
    NodeFull,
    /// All nodes together hold too much.
    NoRoom,
    NodeIdRequired,
    NotAcceptable(String),
    NotFound(&'static str),
    NotInRosterGroup,
    /// Items are for subscribers.
    NotSubscribed,
    /// There is no such subscription to end.
    NoSuchSubscription,
    /// There is no such subscription that has options.
    NothingToConfigure,
    PayloadRequired,
    PayloadTooBig,
    Payload(PayloadError),
    PendingSubscription,
    PreconditionNotMet(String),
    PresenceSubscriptionRequired,
    Store,
    TooManyNodes,
    TooManySubscriptions,
    Unsupported(&'static str),
    UnsupportedAccessModel,
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        tracing::error!(%error, "pubsub nodes not reached");
        Refusal::Store
    }
}

impl From<PayloadError> for Refusal {
    fn from(error: PayloadError) -> Refusal {
        Refusal::Payload(error)
    }
}

impl From<Refusal> for StanzaError {
    fn from(refusal: Refusal) -> StanzaError {
        match refusal {
            Refusal::BadRequest(text) => StanzaError::bad_request(text),
            Refusal::Conflict => StanzaError::conflict("this node exists"),
            Refusal::Forbidden(text) => StanzaError::forbidden(text),
            Refusal::NotAcceptable(text) => StanzaError::not_acceptable(text),
            Refusal::NoRoom => StanzaError::resource_constraint("the nodes hold too much"),
            Refusal::NotFound(text) => StanzaError::item_not_found(text),
            Refusal::Payload(error) => error.into(),
            Refusal::Store => StanzaError::internal_server_error(""),
            refusal => with_condition(refusal),
        }
    }
}

/// Those with a condition of pubsub's own.
fn with_condition(refusal: Refusal) -> StanzaError {
    let specific = |error: StanzaError, name: &str| {
        error.with_application(Element::new(name, ns::PUBSUB_ERRORS))
    };
    match refusal {
        Refusal::ClosedNode => specific(StanzaError::not_allowed(""), "closed-node"),
        Refusal::InvalidJid => {
            specific(StanzaError::bad_request("not the sender's address"), "invalid-jid")
        }
        Refusal::InvalidOptions => specific(StanzaError::bad_request(""), "invalid-options"),
        Refusal::InvalidPayload(text) => {
            specific(StanzaError::bad_request(text), "invalid-payload")
        }
        Refusal::ItemForbidden => specific(StanzaError::bad_request(""), "item-forbidden"),
        Refusal::ItemRequired => specific(StanzaError::bad_request(""), "item-required"),
        Refusal::JidRequired => specific(StanzaError::bad_request(""), "jid-required"),
        Refusal::NodeFull => specific(StanzaError::conflict(""), "node-full"),
        Refusal::NodeIdRequired => specific(StanzaError::bad_request(""), "nodeid-required"),
        Refusal::NotInRosterGroup => {
            specific(StanzaError::not_authorized(""), "not-in-roster-group")
        }
        Refusal::NotSubscribed => specific(StanzaError::not_authorized(""), "not-subscribed"),
        Refusal::NoSuchSubscription => {
            let error = StanzaError::unexpected_request("").with_type(ErrorType::Cancel);
            specific(error, "not-subscribed")
        }
        Refusal::NothingToConfigure => {
            let error = StanzaError::unexpected_request("").with_type(ErrorType::Modify);
            specific(error, "not-subscribed")
        }
        Refusal::PayloadRequired => specific(StanzaError::bad_request(""), "payload-required"),
        Refusal::PayloadTooBig => specific(StanzaError::not_acceptable(""), "payload-too-big"),
        Refusal::PendingSubscription => {
            specific(StanzaError::not_authorized(""), "pending-subscription")
        }
        Refusal::PreconditionNotMet(field) => {
            let text = format!("the node differs in {field}");
            specific(StanzaError::conflict(text), "precondition-not-met")
        }
        Refusal::PresenceSubscriptionRequired => {
            specific(StanzaError::not_authorized(""), "presence-subscription-required")
        }
        Refusal::TooManyNodes => specific(StanzaError::policy_violation(""), "max-nodes-exceeded"),
        Refusal::TooManySubscriptions => {
            let error = StanzaError::policy_violation("").with_type(ErrorType::Wait);
            specific(error, "too-many-subscriptions")
        }
        Refusal::Unsupported(feature) => {
            let unsupported =
                Element::new("unsupported", ns::PUBSUB_ERRORS).with_attr("feature", feature);
            StanzaError::feature_not_implemented("").with_application(unsupported)
        }
        Refusal::UnsupportedAccessModel => {
            specific(StanzaError::not_acceptable(""), "unsupported-access-model")
        }
        _ => StanzaError::internal_server_error(""),
    }
}
