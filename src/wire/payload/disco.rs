//! Service discovery (XEP-0030).

use super::{
    PayloadError,
    data_form::DataForm,
    dom::{expect, jid, owned, required},
};
use crate::{jid::Jid, ns, xml::Element};

/// What an entity is, in one language. The order is the one of XEP-0115 §5.1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    pub category: String,
    pub kind: String,
    pub lang: Option<String>,
    pub name: Option<String>,
}

impl Identity {
    #[must_use]
    pub fn new(category: &str, kind: &str, name: Option<&str>) -> Self {
        Self {
            category: category.to_owned(),
            kind: kind.to_owned(),
            lang: None,
            name: name.map(str::to_owned),
        }
    }

    fn parse(identity: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            category: required(identity, "category")?.to_owned(),
            kind: required(identity, "type")?.to_owned(),
            lang: identity.lang().map(str::to_owned),
            name: owned(identity, "name"),
        })
    }

    fn to_element(&self) -> Element {
        let mut identity = Element::new("identity", ns::DISCO_INFO);
        if let Some(lang) = &self.lang {
            identity = identity.with_lang(lang);
        }
        identity
            .with_attr("category", self.category.as_str())
            .with_attr("type", self.kind.as_str())
            .with_attr_opt("name", self.name.as_deref())
    }
}

/// disco#info; without identities and features it is a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscoInfo {
    pub node: Option<String>,
    pub identities: Vec<Identity>,
    pub features: Vec<String>,
    /// XEP-0128.
    pub forms: Vec<DataForm>,
}

impl DiscoInfo {
    pub fn parse(query: &Element) -> Result<Self, PayloadError> {
        expect(query, "query", ns::DISCO_INFO)?;
        let mut info = Self { node: owned(query, "node"), ..Self::default() };
        for child in query.children() {
            if child.is("identity", ns::DISCO_INFO) {
                info.identities.push(Identity::parse(child)?);
            } else if child.is("feature", ns::DISCO_INFO) {
                info.features.push(required(child, "var")?.to_owned());
            } else if child.is("x", ns::DATA_FORM) {
                info.forms.push(DataForm::parse(child)?);
            }
        }
        Ok(info)
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        let features = self
            .features
            .iter()
            .map(|var| Element::new("feature", ns::DISCO_INFO).with_attr("var", var.as_str()));
        Element::new("query", ns::DISCO_INFO)
            .with_attr_opt("node", self.node.as_deref())
            .with_children(self.identities.iter().map(Identity::to_element))
            .with_children(features)
            .with_children(self.forms.iter().map(DataForm::to_element))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoItem {
    pub jid: Jid,
    pub node: Option<String>,
    pub name: Option<String>,
}

/// disco#items; without items it is a request, or an empty answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscoItems {
    pub node: Option<String>,
    pub items: Vec<DiscoItem>,
}

impl DiscoItems {
    pub fn parse(query: &Element) -> Result<Self, PayloadError> {
        expect(query, "query", ns::DISCO_ITEMS)?;
        let items = query.children().filter(|c| c.is("item", ns::DISCO_ITEMS));
        Ok(Self {
            node: owned(query, "node"),
            items: items
                .map(|item| {
                    Ok(DiscoItem {
                        jid: jid(item, "jid")?,
                        node: owned(item, "node"),
                        name: owned(item, "name"),
                    })
                })
                .collect::<Result<_, PayloadError>>()?,
        })
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        let items = self.items.iter().map(|item| {
            Element::new("item", ns::DISCO_ITEMS)
                .with_attr("jid", item.jid.as_str())
                .with_attr_opt("node", item.node.as_deref())
                .with_attr_opt("name", item.name.as_deref())
        });
        Element::new("query", ns::DISCO_ITEMS)
            .with_attr_opt("node", self.node.as_deref())
            .with_children(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::dom::el;

    #[test]
    fn info() {
        let query = el("<query xmlns='http://jabber.org/protocol/disco#info' node='n'>\
             <identity xml:lang='el' category='client' type='pc' name='Ψ 0.11'/>\
             <feature var='urn:xmpp:ping'/>\
             <x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>t</value></field></x>\
             </query>");
        let info = DiscoInfo::parse(&query).unwrap();
        assert_eq!(info.identities[0].lang.as_deref(), Some("el"));
        assert_eq!(info.forms[0].form_type(), Some("t"));
        assert_eq!(info.to_element(), query);
    }

    #[test]
    fn items() {
        let query = el("<query xmlns='http://jabber.org/protocol/disco#items'>\
             <item jid='conference.b' name='Rooms'/><item jid='b' node='x'/></query>");
        let items = DiscoItems::parse(&query).unwrap();
        assert_eq!(items.items[1].node.as_deref(), Some("x"));
        assert_eq!(items.to_element(), query);
    }

    #[test]
    fn lenient_and_strict() {
        let info = |children: &str| {
            DiscoInfo::parse(&el(&format!(
                "<query xmlns='http://jabber.org/protocol/disco#info' x='y'>{children}</query>"
            )))
        };
        assert_eq!(info("<z/>text"), Ok(DiscoInfo::default()));
        assert_eq!(info("<feature/>"), Err(PayloadError::Missing("var")));
        assert_eq!(info("<identity type='pc'/>"), Err(PayloadError::Missing("category")));
        assert_eq!(info("<identity category='client'/>"), Err(PayloadError::Missing("type")));
        let items = |item: &str| {
            DiscoItems::parse(&el(&format!(
                "<query xmlns='http://jabber.org/protocol/disco#items'>{item}</query>"
            )))
        };
        assert_eq!(items("<z/>"), Ok(DiscoItems::default()));
        assert!(items("<item/>").is_err());
        assert!(items("<item jid='@'/>").is_err());
        assert!(DiscoItems::parse(&DiscoInfo::default().to_element()).is_err());
    }
}
