use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const NAMES: &[&str] = &[
    "affiliation",
    "affiliations",
    "configure",
    "create",
    "default",
    "delete",
    "item",
    "items",
    "options",
    "publish",
    "publish-options",
    "purge",
    "retract",
    "set",
    "subscribe",
    "subscription",
    "subscriptions",
    "unsubscribe",
    "x",
];
const ATTRIBUTES: &[&str] =
    &["affiliation", "id", "jid", "max_items", "node", "notify", "subscription", "type"];
const VALUES: &[&str] =
    &["", "1", "a@b/c", "current", "member", "none", "owner", "submit", "subscribed", "true"];
const SPACES: &[&str] = &[ns::PUBSUB, ns::PUBSUB_OWNER, ns::DATA_FORM, ns::RSM];

fn element() -> impl Strategy<Value = Element> {
    let attributes = || prop::collection::vec((select(ATTRIBUTES), select(VALUES)), 0..4);
    let leaf = (select(NAMES), select(SPACES), attributes()).prop_map(build);
    leaf.prop_recursive(3, 12, 4, move |inner| {
        let children = prop::collection::vec(inner, 0..4);
        ((select(NAMES), select(SPACES), attributes()).prop_map(build), children)
            .prop_map(|(element, children)| element.with_children(children))
    })
}

fn build((name, ns, attributes): (&'static str, &'static str, Vec<(&str, &str)>)) -> Element {
    let element = Element::new(name, ns);
    attributes.into_iter().fold(element, |element, (name, value)| element.with_attr(name, value))
}

proptest! {
    /// Whatever is asked is understood with a node and ids that can be stored, or refused.
    #[test]
    fn any_request_is_understood_or_refused(
        children in prop::collection::vec(element(), 0..3),
        ns in select(&[ns::PUBSUB, ns::PUBSUB_OWNER][..]),
        get in any::<bool>(),
    ) {
        let request = if get { Request::Get } else { Request::Set };
        let pubsub = Element::new("pubsub", ns).with_children(children);
        if let Ok(command) = parse(request, &pubsub) {
            prop_assert_ne!(command.node(), Some(""));
            prop_assert!(!get || command.changes().is_none());
            if let Command::Retract { id, .. } = command {
                prop_assert!(!id.is_empty());
            }
        }
    }
}

fn of(request: Request, children: &str) -> Result<Command, Refusal> {
    let text = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{children}</pubsub>");
    parse(request, &text.parse().unwrap())
}

fn of_owner(request: Request, children: &str) -> Result<Command, Refusal> {
    let text =
        format!("<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>{children}</pubsub>");
    parse(request, &text.parse().unwrap())
}

#[test]
fn malformed_requests_get_their_condition() {
    use Request::{Get, Set};
    for (request, children, expected) in [
        (Set, "<publish><item id='1'/></publish>", Err(Refusal::NodeIdRequired)),
        (Set, "<retract node='a'/>", Err(Refusal::ItemRequired)),
        (Set, "<retract node='a'><item/></retract>", Err(Refusal::ItemRequired)),
        (Set, "<retract><item id='1'/></retract>", Err(Refusal::NodeIdRequired)),
        (Set, "<subscribe node='a'/>", Err(Refusal::JidRequired)),
        (Set, "<subscribe node='a' jid='@'/>", Err(Refusal::InvalidJid)),
        (Get, "<items/>", Err(Refusal::NodeIdRequired)),
        (Get, "<options node='a'/>", Err(Refusal::JidRequired)),
        (Get, "<options jid='a@b'/>", Err(Refusal::NodeIdRequired)),
        (Set, "<options node='a' jid='a@b'/>", Err(Refusal::InvalidOptions)),
        (Set, "<subscribe node='a' jid='a@b'/><options/>", Err(Refusal::InvalidOptions)),
        (Set, "<publish node='a'/><publish-options/>", Err(Refusal::InvalidOptions)),
    ] {
        assert_eq!(of(request, children), expected, "{children}");
    }
    for (request, children) in [
        (Set, ""),
        (Get, "<publish node='a'/>"),
        (Set, "<items node='a'/>"),
        (Set, "<publish node='a'><item/><item/></publish>"),
        (Set, "<create node='a'/><configure node='b'/>"),
        (Set, "<subscribe node='a' jid='a@b'/><options node='a'/>"),
        (Get, "<items node='a' max_items='many'/>"),
        (Set, "<retract node='a' notify='yes'><item id='1'/></retract>"),
    ] {
        assert!(matches!(of(request, children), Err(Refusal::BadRequest(_))), "{children}");
    }
}

#[test]
fn some_requests_change_items() {
    let changed =
        |request, children: &str| of(request, children).unwrap().changes().map(str::to_owned);
    let a = Some("a".to_owned());
    assert_eq!(changed(Request::Set, "<publish node='a'/>"), a);
    assert_eq!(changed(Request::Set, "<retract node='a'><item id='1'/></retract>"), a);
    assert_eq!(changed(Request::Get, "<items node='a'/>"), None);
    let purge = of_owner(Request::Set, "<purge node='a'/>").unwrap();
    assert_eq!(purge.changes(), Some("a"));
}

#[test]
fn owners_say_what_changes() {
    let set = |children: &str| {
        let affiliations = format!("<affiliations node='a'>{children}</affiliations>");
        of_owner(Request::Set, &affiliations)
    };
    let changes = set("<affiliation jid='a@b/c' affiliation='member'/><affiliation jid='d@b'/>\
         <affiliation jid='e@b' affiliation='none'/>");
    let jid = |text: &str| text.parse::<Jid>().unwrap();
    let expected = vec![(jid("a@b"), Some(Affiliation::Member)), (jid("e@b"), None)];
    let expected = OwnerCommand::Affiliate { node: "a".to_owned(), changes: expected };
    assert_eq!(changes, Ok(Command::Owner(expected)));
    let twice = "<affiliation jid='a@b' affiliation='member'/>\
        <affiliation jid='a@b/c' affiliation='outcast'/>";
    assert!(matches!(set(twice), Err(Refusal::BadRequest(_))));
    let unknown = set("<affiliation jid='a@b' affiliation='king'/>");
    assert!(matches!(unknown, Err(Refusal::NotAcceptable(_))));
    assert_eq!(of_owner(Request::Set, "<delete/>"), Err(Refusal::NodeIdRequired));
    let cancel = "<configure node='a'><x xmlns='jabber:x:data' type='cancel'/></configure>";
    let expected = OwnerCommand::Configure { node: "a".to_owned(), form: None };
    assert_eq!(of_owner(Request::Set, cancel), Ok(Command::Owner(expected)));
}
