//! Does a received element match a script's pattern? The rules are in README.md.

use std::collections::HashMap;

use crate::text::{Template, Vars};
use crate::xml::{Element, NS_CLIENT, NS_SCN, NS_STREAM, NS_XML, Node};

const NS_STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
const NS_STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
const NS_SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const NS_SASL2: &str = "urn:xmpp:sasl:2";

/// The receiving actor's own addresses, which a server may write or leave out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Own<'a> {
    pub(crate) bare: &'a str,
    pub(crate) full: Option<&'a str>,
}

/// Matches and returns the captures, or says what differs.
pub(crate) fn matches(
    pattern: &Element,
    got: &Element,
    own: Own<'_>,
    vars: &Vars,
) -> Result<HashMap<String, String>, String> {
    let mut matcher = Matcher { vars: vars.snapshot(), captured: HashMap::new() };
    let top = Top { own, stanza: got.is_stanza() };
    matcher.element(pattern, got, Some(top))?;
    Ok(matcher.captured)
}

/// Set for the outermost element only: addresses and server additions are judged there.
#[derive(Clone, Copy)]
struct Top<'a> {
    own: Own<'a>,
    stanza: bool,
}

struct Matcher {
    vars: Vars,
    captured: HashMap<String, String>,
}

impl Matcher {
    fn element(
        &mut self,
        pattern: &Element,
        got: &Element,
        top: Option<Top<'_>>,
    ) -> Result<(), String> {
        if !got.is(&pattern.ns, &pattern.name) {
            return Err(format!(
                "is <{} xmlns='{}'>, not <{} xmlns='{}'>",
                got.name, got.ns, pattern.name, pattern.ns
            ));
        }
        let strict = flag(pattern, "strict");
        self.attributes(pattern, got, top, strict)?;
        let open = self.text(pattern, got)?;
        self.children(pattern, got, top, strict, open)
    }

    fn attributes(
        &mut self,
        pattern: &Element,
        got: &Element,
        top: Option<Top<'_>>,
        strict: bool,
    ) -> Result<(), String> {
        for a in pattern.attrs.iter().filter(|a| a.ns != NS_SCN) {
            let found = got.attr_ns(&a.ns, &a.name);
            self.value(&a.value, found).map_err(|e| format!("{}@{} {e}", pattern.name, a.name))?;
        }
        let open = flag(pattern, "open");
        for a in &got.attrs {
            if open || pattern.attr_ns(&a.ns, &a.name).is_some() {
                continue;
            }
            if strict || !may_be_unlisted(got, &a.ns, &a.name, &a.value, top) {
                return Err(format!("{}@{} is {:?}, not expected", got.name, a.name, a.value));
            }
        }
        Ok(())
    }

    /// Returns whether the pattern allows further children.
    fn text(&mut self, pattern: &Element, got: &Element) -> Result<bool, String> {
        let template = Template::parse(&pattern.text())?;
        let open = template.allows_children();
        let template = template.without_children_mark();
        let text = got.text();
        if template.is_blank() {
            if !open && !text.trim().is_empty() {
                return Err(format!("<{}> has text {text:?}", got.name));
            }
            return Ok(open);
        }
        let wanted = pattern.text().replace("{*}", "");
        let wanted = if open { wanted.trim() } else { trim_if_mixed(&wanted, pattern) };
        self.value(wanted, Some(if open { text.trim() } else { trim_if_mixed(&text, got) }))
            .map_err(|e| format!("text of <{}> {e}", got.name))?;
        Ok(open)
    }

    fn children(
        &mut self,
        pattern: &Element,
        got: &Element,
        top: Option<Top<'_>>,
        strict: bool,
        open: bool,
    ) -> Result<(), String> {
        let (absent, wanted): (Vec<_>, Vec<_>) =
            pattern.children().partition(|c| flag(c, "absent"));
        let have: Vec<&Element> = got.children().collect();
        for p in absent {
            if have.iter().any(|h| self.try_element(p, h).is_ok()) {
                return Err(format!("<{}> contains <{}>", got.name, p.name));
            }
        }
        let mut used = vec![false; have.len()];
        let ordered = flag(pattern, "ordered");
        self.assign(&wanted, &have, &mut used, ordered)
            .map_err(|e| format!("in <{}>: {e}", got.name))?;
        let extra = have
            .iter()
            .zip(&used)
            .find(|(h, used)| !**used && !open && (strict || !may_be_added(got, h, top)));
        match extra {
            Some((h, _)) => {
                Err(format!("<{}> has unexpected child <{} xmlns='{}'>", got.name, h.name, h.ns))
            }
            None => Ok(()),
        }
    }

    /// Gives each wanted child one of those received, going back where a choice was wrong.
    fn assign(
        &mut self,
        wanted: &[&Element],
        have: &[&Element],
        used: &mut [bool],
        ordered: bool,
    ) -> Result<(), String> {
        let Some((first, rest)) = wanted.split_first() else {
            return Ok(());
        };
        let start = if ordered { used.iter().rposition(|u| *u).map_or(0, |i| i + 1) } else { 0 };
        let mut reasons = Vec::new();
        for i in start..have.len() {
            if used[i] {
                continue;
            }
            let before = self.captured.clone();
            match self.element(first, have[i], None) {
                Ok(()) => {
                    used[i] = true;
                    match self.assign(rest, have, used, ordered) {
                        Ok(()) => return Ok(()),
                        Err(e) => reasons.push(e),
                    }
                    used[i] = false;
                }
                Err(e) if have[i].is(&first.ns, &first.name) => reasons.push(e),
                Err(_) => {}
            }
            self.captured = before;
        }
        if flag(first, "optional") {
            return self.assign(rest, have, used, ordered);
        }
        Err(match reasons.as_slice() {
            [] => format!("no <{} xmlns='{}'>", first.name, first.ns),
            [one] => one.clone(),
            many => format!("no fitting <{}>: {}", first.name, many.join("; ")),
        })
    }

    fn try_element(&mut self, pattern: &Element, got: &Element) -> Result<(), String> {
        let before = self.captured.clone();
        let result = self.element(pattern, got, None);
        self.captured = before;
        result
    }

    fn value(&mut self, pattern: &str, got: Option<&str>) -> Result<(), String> {
        let found = Template::parse(pattern)?.match_value(&self.vars, got)?;
        for (name, value) in found {
            self.vars.set(&name, value.clone());
            self.captured.insert(name, value);
        }
        Ok(())
    }
}

fn flag(pattern: &Element, name: &str) -> bool {
    pattern.attr_ns(NS_SCN, name).is_some_and(|v| v == "yes")
}

/// Beside child elements, white space is layout; alone, it is content.
fn trim_if_mixed<'a>(text: &'a str, element: &Element) -> &'a str {
    if element.nodes.iter().any(|n| matches!(n, Node::Element(_))) { text.trim() } else { text }
}

fn may_be_unlisted(got: &Element, ns: &str, name: &str, value: &str, top: Option<Top<'_>>) -> bool {
    match (ns, name, top) {
        (NS_XML, "lang", _) => true,
        // RFC 6120 §8.3.2: who raised the error
        ("", "by", _) => got.name == "error",
        // RFC 6120 §8.1.1.2 and §8.1.2.1: a server may leave out or write the client's own address
        ("", "to", Some(t)) if t.stanza => value == t.own.bare || Some(value) == t.own.full,
        ("", "from", Some(t)) if t.stanza => value == t.own.bare,
        _ => false,
    }
}

/// Elements that a server may add to what a peer sent.
fn may_be_added(parent: &Element, child: &Element, top: Option<Top<'_>>) -> bool {
    let error_text = child.name == "text"
        && matches!(child.ns.as_str(), NS_STANZA_ERRORS | NS_STREAM_ERRORS | NS_SASL | NS_SASL2);
    if error_text && matches!(parent.name.as_str(), "error" | "failure") {
        return true;
    }
    if parent.is(NS_STREAM, "error") {
        return child.ns != NS_STREAM_ERRORS;
    }
    let Some(top) = top.filter(|t| t.stanza) else {
        return false;
    };
    // RFC 6120 §8.3.1: an error may carry the stanza that caused it
    if parent.attr("type") == Some("error") {
        return !child.is(NS_CLIENT, "error");
    }
    match parent.name.as_str() {
        // XEP-0359: the id under which the account's own archive keeps the message
        "message" => {
            child.is("urn:xmpp:sid:0", "stanza-id") && child.attr("by") == Some(top.own.bare)
        }
        // XEP-0398: the account's avatar hash
        "presence" => child.is("vcard-temp:x:update", "x"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::parse_fragment;

    const OWN: Own<'_> = Own { bare: "j@h", full: Some("j@h/r") };

    fn check(pattern: &str, got: &str) -> Result<HashMap<String, String>, String> {
        let (p, g) = (parse_fragment(pattern).unwrap(), parse_fragment(got).unwrap());
        matches(&p[0], &g[0], OWN, &Vars::default())
    }

    #[test]
    fn own_address_may_be_left_out_but_not_another() {
        assert!(check("<message from='a@b'/>", "<message from='a@b' to='j@h/r'/>").is_ok());
        assert!(check("<message from='a@b'/>", "<message from='a@b' to='x@h'/>").is_err());
        assert!(
            check("<iq type='result' id='1'/>", "<iq type='result' id='1' from='j@h'/>").is_ok()
        );
        assert!(
            check("<iq type='result' id='1'/>", "<iq type='result' id='1' from='h'/>").is_err()
        );
    }

    #[test]
    fn extra_attributes_children_and_text_are_errors() {
        assert!(check("<message/>", "<message type='chat'/>").is_err());
        assert!(check("<message/>", "<message><body>x</body></message>").is_err());
        assert!(check("<message>{*}</message>", "<message><body>x</body></message>").is_ok());
        assert!(check("<message><body/></message>", "<message><body>x</body></message>").is_err());
        assert!(
            check("<message><body>x</body></message>", "<message><body>x </body></message>")
                .is_err()
        );
    }

    #[test]
    fn children_in_any_order_with_backtracking() {
        let got = "<iq><q xmlns='u'><f v='1'/><f v='2'/></q></iq>";
        let wild_first = "<iq><q xmlns='u'><f v='{capture:x}'/><f v='1'/></q></iq>";
        assert_eq!(check(wild_first, got).unwrap()["x"], "2");
        assert!(check("<iq><q xmlns='u'><f v='1'/><f v='1'/></q></iq>", got).is_err());
        let ordered = "<iq><q xmlns='u' scn:ordered='yes'><f v='2'/><f v='1'/></q></iq>";
        assert!(check(ordered, got).is_err());
        let absent = "<iq><q xmlns='u'>{*}<f v='2' scn:absent='yes'/></q></iq>";
        assert!(check(absent, got).is_err());
    }

    #[test]
    fn server_additions_are_allowed_unless_strict() {
        let got =
            "<message><body>x</body><stanza-id xmlns='urn:xmpp:sid:0' by='j@h' id='9'/></message>";
        assert!(check("<message><body>x</body></message>", got).is_ok());
        assert!(check("<message scn:strict='yes'><body>x</body></message>", got).is_err());
        let forged = got.replace("j@h", "x@h");
        assert!(check("<message><body>x</body></message>", &forged).is_err());
    }

    #[test]
    fn error_may_echo_but_condition_must_fit() {
        let got = "<iq type='error' id='1'><ping xmlns='p'/><error type='cancel' by='h'>\
            <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
            <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>no</text></error></iq>";
        let pattern = "<iq type='error' id='1'><error type='cancel'>\
            <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>";
        assert!(check(pattern, got).is_ok());
        assert!(check(&pattern.replace("item-not-found", "conflict"), got).is_err());
    }
}
