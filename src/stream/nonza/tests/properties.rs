//! Whatever element a peer sends, it is read, refused or left to others.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const NAMES: &[&str] = &[
    "auth",
    "authenticate",
    "response",
    "abort",
    "next",
    "task-data",
    "success",
    "failure",
    "continue",
    "tasks",
    "task",
    "text",
    "initial-response",
    "additional-data",
    "user-agent",
    "software",
    "authorization-identifier",
    "not-authorized",
    "bind",
    "tag",
    "inline",
    "feature",
    "fast",
    "request-token",
    "token",
    "mechanism",
    "mechanisms",
    "authentication",
    "upgrade",
    "hash",
    "sasl-channel-binding",
    "channel-binding",
    "x",
];
const NAMESPACES: &[&str] = &[
    ns::SASL,
    ns::SASL2,
    ns::BIND2,
    ns::FAST,
    ns::SASL_UPGRADE,
    ns::SCRAM_UPGRADE,
    ns::SASL_CHANNEL_BINDING,
    "urn:x",
];
const ATTRIBUTES: &[&str] = &["mechanism", "id", "task", "count", "invalidate", "type", "var"];

fn element() -> impl Strategy<Value = Element> {
    let bare = || {
        (
            select(NAMES),
            select(NAMESPACES),
            option::of((select(ATTRIBUTES), "\\PC{0,6}")),
            prop_oneof![Just(String::new()), Just("AAAA".to_owned()), "\\PC{0,8}"],
        )
            .prop_map(|(name, namespace, attribute, text)| {
                let element = Element::new(name, namespace).with_text(text);
                match attribute {
                    Some((name, value)) => element.with_attr(name, value),
                    None => element,
                }
            })
    };
    bare().prop_recursive(3, 20, 5, move |inner| {
        (bare(), vec(inner, 0..5)).prop_map(|(element, children)| element.with_children(children))
    })
}

proptest! {
    #[test]
    fn no_element_panics(element in element()) {
        let _ = Mechanisms::read(&element);
        let _ = Authentication::read(&element);
        let _ = ChannelBindingTypes::read(&element);
        let _ = BindFeature::read(&element);
        let _ = BindRequest::read(&element);
        let _ = Bound::read(&element);
        let _ = FastFeature::read(&element);
        let _ = FastRequest::read(&element);
        let _ = RequestToken::read(&element);
        let _ = Token::read(&element);
        let children: Vec<_> = element.children().cloned().collect();
        let _ = requested_upgrades(&children);
        let _ = read_hash(&children, MAX);
        let read = Sasl1::read(element.clone(), MAX);
        prop_assert_eq!(read.is_some(), element.ns() == ns::SASL);
        let read = Sasl2::read(element.clone(), MAX);
        prop_assert_eq!(read.is_some(), element.ns() == ns::SASL2);
    }

    /// Whatever was read can be written and read again.
    #[test]
    fn reading_is_stable(element in element()) {
        if let Some(Ok(nonza)) = Sasl1::read(element.clone(), MAX) {
            prop_assert_eq!(Sasl1::read(nonza.write(), MAX), Some(Ok(nonza)));
        }
        if let Some(Ok(nonza)) = Sasl2::read(element, MAX) {
            prop_assert_eq!(Sasl2::read(nonza.write(), MAX), Some(Ok(nonza)));
        }
    }
}
