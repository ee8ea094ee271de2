//! The verification string of XEP-0115, made from a disco#info result.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use sha1::{Digest, Sha1};

use crate::xml::{Element, NS_XML};

pub(super) const NS_DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
const NS_DATA: &str = "jabber:x:data";

/// XEP-0115 §5.1
pub(super) fn verification(query: &Element) -> String {
    let of = |name: &'static str| query.children().filter(move |c| c.name == name);
    let mut identities: Vec<String> = of("identity").map(identity).collect();
    let mut features: Vec<&str> = of("feature").filter_map(|f| f.attr("var")).collect();
    let mut forms: Vec<String> =
        query.children().filter(|c| c.is(NS_DATA, "x")).filter_map(form).collect();
    identities.sort();
    features.sort_unstable();
    forms.sort();
    let mut text = String::new();
    for part in identities.iter().map(String::as_str).chain(features) {
        text.push_str(part);
        text.push('<');
    }
    text.push_str(&forms.concat());
    BASE64.encode(Sha1::digest(text))
}

fn identity(e: &Element) -> String {
    let attr = |name| e.attr(name).unwrap_or_default();
    let lang = e.attr_ns(NS_XML, "lang").unwrap_or_default();
    format!("{}/{}/{lang}/{}", attr("category"), attr("type"), attr("name"))
}

/// Begins with the form's type, so that sorting the texts sorts the forms by it.
fn form(e: &Element) -> Option<String> {
    let mut fields: Vec<(&str, Vec<String>)> = e
        .children()
        .filter(|f| f.name == "field")
        .filter_map(|f| {
            let mut values: Vec<String> =
                f.children().filter(|v| v.name == "value").map(Element::text).collect();
            values.sort();
            Some((f.attr("var")?, values))
        })
        .collect();
    fields.sort();
    let position = fields.iter().position(|(var, _)| *var == "FORM_TYPE")?;
    let (_, kind) = fields.remove(position);
    let mut text = format!("{}<", kind.concat());
    for (var, values) in fields {
        text.push_str(var);
        text.push('<');
        for value in values {
            text.push_str(&value);
            text.push('<');
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::parse_fragment;

    /// The examples of XEP-0115 §5.2 and §5.3.
    #[test]
    fn examples() {
        let simple = "<query xmlns='http://jabber.org/protocol/disco#info'>\
            <identity category='client' name='Exodus 0.9.1' type='pc'/>\
            <feature var='http://jabber.org/protocol/caps'/>\
            <feature var='http://jabber.org/protocol/disco#items'/>\
            <feature var='http://jabber.org/protocol/disco#info'/>\
            <feature var='http://jabber.org/protocol/muc'/></query>";
        let query = &parse_fragment(simple).unwrap()[0];
        assert_eq!(verification(query), "QgayPKawpkPSDYmwT/WM94uAlu0=");
        let complex = "<query xmlns='http://jabber.org/protocol/disco#info'>\
            <identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>\
            <identity xml:lang='el' category='client' name='Ψ 0.11' type='pc'/>\
            <feature var='http://jabber.org/protocol/caps'/>\
            <feature var='http://jabber.org/protocol/disco#info'/>\
            <feature var='http://jabber.org/protocol/disco#items'/>\
            <feature var='http://jabber.org/protocol/muc'/>\
            <x xmlns='jabber:x:data' type='result'>\
            <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>\
            <field var='ip_version' type='text-multi'><value>ipv4</value><value>ipv6</value></field>\
            <field var='os'><value>Mac</value></field>\
            <field var='os_version'><value>10.5.1</value></field>\
            <field var='software'><value>Psi</value></field>\
            <field var='software_version'><value>0.11</value></field></x></query>";
        let query = &parse_fragment(complex).unwrap()[0];
        assert_eq!(verification(query), "q07IKJEyjvHSyhy//CH0CxmKi8w=");
    }
}
