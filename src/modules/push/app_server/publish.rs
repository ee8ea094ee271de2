//! What servers publish to the nodes of devices (XEP-0357, section 7).

use wello_wire::error::StanzaError;
use wello_wire::ns;
use wello_wire::xml::Element;

use super::super::wake::Wake;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Publication {
    pub(super) node: String,
    /// Empty when there is none.
    pub(super) secret: String,
    pub(super) wake: Wake,
    pub(super) count: u32,
    pub(super) sender: Option<String>,
    pub(super) body: Option<String>,
}

/// Characters of a body: services take 4 KiB altogether, and Apple the least.
const MAX_BODY: usize = 500;
const MAX_SENDER: usize = 200;

impl Publication {
    pub(super) fn parse(pubsub: &Element) -> Result<Publication, StanzaError> {
        let publish = pubsub.child("publish", ns::PUBSUB);
        let publish = publish.ok_or_else(|| {
            StanzaError::feature_not_implemented("nodes of devices are only published to")
        })?;
        let node = publish.attr("node").filter(|node| !node.is_empty());
        let node = node.ok_or_else(|| StanzaError::bad_request("node is missing"))?;
        let item = publish.child("item", ns::PUBSUB);
        let notification = item.and_then(|item| item.child("notification", ns::PUSH));
        let notification =
            notification.ok_or_else(|| StanzaError::bad_request("there is no notification"))?;
        let text = |var: &str, max: usize| {
            let text = value(notification, var).filter(|text| !text.is_empty());
            text.map(|text| text.chars().take(max).collect())
        };
        let count = value(notification, "message-count").and_then(|count| count.parse().ok());
        Ok(Publication {
            node: node.to_owned(),
            secret: secret(pubsub).unwrap_or_default(),
            wake: Wake::of(notification),
            count: count.unwrap_or_default(),
            sender: text("last-message-sender", MAX_SENDER),
            body: text("last-message-body", MAX_BODY),
        })
    }
}

fn secret(pubsub: &Element) -> Option<String> {
    value(pubsub.child("publish-options", ns::PUBSUB)?, "secret")
}

/// COMPAT: the forms in the specification's own examples have no type, which XEP-0004 requires.
fn value(parent: &Element, var: &str) -> Option<String> {
    let form = parent.child("x", ns::DATA_FORM)?;
    let mut fields = form.children().filter(|child| child.is("field", ns::DATA_FORM));
    let field = fields.find(|field| field.attr("var") == Some(var))?;
    Some(field.child("value", ns::DATA_FORM)?.text().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use wello_wire::error::Condition;

    use super::*;

    fn parse(children: &str) -> Result<Publication, StanzaError> {
        let text = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{children}</pubsub>");
        Publication::parse(&text.parse().unwrap())
    }

    #[test]
    fn the_example_of_the_specification() {
        // XEP-0357, example 10.
        let published = parse(
            "<publish node='yxs32uqsflafdk3iuqo'><item>\
             <notification xmlns='urn:xmpp:push:0'><x xmlns='jabber:x:data'>\
             <field var='FORM_TYPE'><value>urn:xmpp:push:summary</value></field>\
             <field var='message-count'><value>3</value></field>\
             <field var='last-message-sender'><value>juliet@capulet.example/balcony</value></field>\
             <field var='last-message-body'><value>Wherefore</value></field></x>\
             <additional xmlns='http://example.com/custom'>x</additional></notification></item>\
             </publish><publish-options><x xmlns='jabber:x:data'>\
             <field var='FORM_TYPE'>\
             <value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
             <field var='secret'><value>eruio234vzxc2kla-91</value></field></x></publish-options>",
        );
        assert_eq!(
            published.unwrap(),
            Publication {
                node: "yxs32uqsflafdk3iuqo".into(),
                secret: "eruio234vzxc2kla-91".into(),
                wake: Wake::Message,
                count: 3,
                sender: Some("juliet@capulet.example/balcony".into()),
                body: Some("Wherefore".into()),
            }
        );
    }

    #[test]
    fn what_is_no_notification_is_refused() {
        let note = "<item><notification xmlns='urn:xmpp:push:0'/></item>";
        let condition = |children: &str| parse(children).map_err(|error| error.condition);
        let bare = condition(&format!("<publish node='n'>{note}</publish>")).unwrap();
        assert_eq!((bare.secret.as_str(), bare.count), ("", 0));
        for (children, expected) in [
            ("<items node='n'/>".to_owned(), Condition::FeatureNotImplemented),
            (format!("<publish>{note}</publish>"), Condition::BadRequest),
            ("<publish node='n'><item/></publish>".to_owned(), Condition::BadRequest),
        ] {
            assert_eq!(condition(&children), Err(expected), "{children}");
        }
    }
}
