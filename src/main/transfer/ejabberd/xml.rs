//! Stanzas as ejabberd keeps them: `{xmlel, Name, Attributes, Children}`.

use wello_wire::ns;
use wello_wire::xml::{Element, Ns};

use super::terms::Term;

/// `ns` is the namespace without an own `xmlns`.
pub fn element(term: &Term, ns: &str) -> Option<Element> {
    let [tag, name, attributes, children] = term.tuple()? else { return None };
    if tag.atom() != Some("xmlel") {
        return None;
    }
    let attributes = attributes.list()?.iter().map(attribute).collect::<Option<Vec<_>>>()?;
    let own = attributes.iter().find(|(name, _)| *name == "xmlns").map(|(_, value)| *value);
    let ns = own.unwrap_or(ns);
    let mut element = Element::new(name.text()?, Ns::intern(ns));
    for (name, value) in attributes {
        match name {
            "xmlns" => {}
            "xml:lang" => element.set_attr_ns(Ns::XML, "lang", value),
            // Its prefix is declared further up, if anywhere.
            name if name.contains(':') => {}
            name => element.set_attr(name, value),
        }
    }
    for child in children.list()? {
        match child.tuple()? {
            [tag, text] if tag.atom() == Some("xmlcdata") => element.push_text(text.text()?),
            _ => element.push(self::element(child, ns)?),
        }
    }
    Some(element)
}

fn attribute(term: &Term) -> Option<(&str, &str)> {
    let [name, value] = term.tuple()? else { return None };
    Some((name.text()?, value.text()?))
}

/// A stanza, which is of clients whatever it says.
pub fn stanza(term: &Term) -> Option<Element> {
    element(term, ns::CLIENT)
}

/// XML as text out of a database; without a namespace it is of clients.
pub fn parsed(xml: &str) -> Option<Element> {
    let mut element: Element = xml.parse().ok()?;
    element.rename_ns("", &Ns::intern(ns::CLIENT));
    Some(element)
}

#[cfg(test)]
mod tests {
    use super::super::terms::parse;
    use super::*;

    #[test]
    fn terms_become_elements() {
        let text = br#"{xmlel,<<"message">>,[{<<"xml:lang">>,<<"de">>},{<<"to">>,<<"a@b">>}],
            [{xmlel,<<"body">>,[],[{xmlcdata,<<"a">>},{xmlcdata,<<"b">>}]},
             {xmlel,<<"x">>,[{<<"xmlns">>,<<"urn:q">>}],[{xmlel,<<"z">>,[],[]}]}]}."#;
        let expected = "<message xmlns='jabber:client' xml:lang='de' to='a@b'><body>ab</body>\
            <x xmlns='urn:q'><z/></x></message>";
        let read = stanza(&parse(text).unwrap()).unwrap();
        assert_eq!(read, expected.parse::<Element>().unwrap());
        assert!(stanza(&parse(b"{xmlel,<<\"a\">>,[]}").unwrap()).is_none());
    }
}
