//! Stanzas as Prosody keeps them: as tables, or as XML.

use wello_wire::ns;
use wello_wire::xml::{Element, Ns};

use super::lua::{Table, Value};

/// A stanza as `util.stanza` preserialises it. `ns` is the namespace without an own `xmlns`.
pub fn element(stanza: &Table, ns: &str) -> Option<Element> {
    let attrs = stanza.get("attr").and_then(Value::table);
    let ns = attrs.and_then(|attrs| attrs.text("xmlns")).unwrap_or(ns);
    let mut element = Element::new(stanza.text("name")?, Ns::intern(ns));
    for (name, value) in attrs.into_iter().flat_map(Table::named) {
        let Some(value) = value.text() else { continue };
        match name.split_once(['\u{1}', '|']) {
            _ if name == "xmlns" => {}
            _ if name == "xml:lang" => element.set_attr_ns(Ns::XML, "lang", value),
            Some((ns, name)) => element.set_attr_ns(Ns::intern(ns), name, value),
            // The prefix is not declared anywhere.
            None if name.contains(':') => {}
            None => element.set_attr(name, value),
        }
    }
    for child in stanza.list() {
        match child {
            Value::Text(text) => element.push_text(text.as_str()),
            Value::Table(child) => element.push(self::element(child, ns)?),
            _ => {}
        }
    }
    Some(element)
}

/// A stanza written as on a stream, where the namespace around it is that of clients.
pub fn parsed(xml: &str) -> Option<Element> {
    let mut element: Element = xml.parse().ok()?;
    if element.ns().is_empty() {
        element.rename_ns("", &Ns::intern(ns::CLIENT));
    }
    Some(element)
}

#[cfg(test)]
mod tests {
    use super::super::lua;
    use super::*;

    #[test]
    fn stanzas_inherit_namespaces() {
        let text = br#"return {name="message",attr={["xml:lang"]="de",["urn:x|y"]="1"},
            {name="body",attr={},"a","b"},{name="x",attr={xmlns="urn:q"},{name="z",attr={}}}};"#;
        let value = lua::parse_return(text).unwrap();
        let expected = "<message xmlns='jabber:client' xml:lang='de' xmlns:n='urn:x' n:y='1'>\
            <body>ab</body><x xmlns='urn:q'><z/></x></message>";
        let read = element(value.table().unwrap(), ns::CLIENT).unwrap();
        assert_eq!(read, expected.parse::<Element>().unwrap());
    }

    #[test]
    fn xml_without_a_namespace_is_of_clients() {
        let read = parsed("<message to='a'><body>x</body><x xmlns='urn:q'/></message>").unwrap();
        assert!(read.is("message", ns::CLIENT) && read.child("body", ns::CLIENT).is_some());
        assert!(read.child("x", "urn:q").is_some());
        assert!(parsed("<item xmlns='urn:q'/>").unwrap().is("item", "urn:q"));
        assert!(parsed("<a").is_none());
    }
}
