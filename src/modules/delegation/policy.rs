//! What is for a component, and which of its answers are good.

use wello_kernel::config::{Component, Config, Delegated};
use wello_wire::ns;
use wello_wire::payload::forward::Forwarded;
use wello_wire::stanza::{IqType, Stanza};
use wello_wire::xml::Element;

/// The component that answers the request, by its namespace and attributes (section 4.3). Service discovery of
/// accounts has rules of its own.
pub fn manager<'a>(config: &'a Config, request: &Stanza) -> Option<&'a Component> {
    let payload = payload(request)?;
    let covers = |delegated: &Delegated| {
        delegated.namespace == payload.ns()
            && delegated.attributes.iter().all(|name| payload.attr(name).is_some())
    };
    manager_by(config, request, covers)
}

/// The component that answers for what the server does not know of accounts by service discovery
/// (sections 7.2.4 and 7.2.5).
pub fn discovery_manager<'a>(config: &'a Config, request: &Stanza) -> Option<&'a Component> {
    let special = match payload(request)?.ns() {
        ns::DISCO_INFO => ns::DELEGATION_BARE_INFO,
        ns::DISCO_ITEMS => ns::DELEGATION_BARE_ITEMS,
        _ => return None,
    };
    let is_get = request.iq_type() == Some(IqType::Get);
    let is_account = request.to.as_ref().is_some_and(|to| to.local().is_some());
    let manager = manager_by(config, request, |delegated| delegated.namespace == special);
    manager.filter(|_| is_get && is_account)
}

fn manager_by<'a>(
    config: &'a Config,
    request: &Stanza,
    covers: impl Fn(&Delegated) -> bool,
) -> Option<&'a Component> {
    let (from, to) = (request.from.as_ref()?, request.to.as_ref().filter(|to| to.is_bare())?);
    let is_request = matches!(request.iq_type(), Some(IqType::Get | IqType::Set));
    let manager = config.component.iter().find(|component| {
        component.manages(to.domain()) && component.delegations.iter().any(&covers)
    });
    // Section 4.3.1: what it asks itself is for the server.
    manager.filter(|component| is_request && component.domain != from.domain())
}

fn payload(request: &Stanza) -> Option<&Element> {
    request.children().next()
}

/// The result that the component has for whoever asked; `None` when it is an error or not an answer to that
/// request (section 4.3).
pub fn unwrap(request: &Stanza, answer: &Stanza) -> Option<Stanza> {
    if answer.iq_type() != Some(IqType::Result) {
        return None;
    }
    let forwarded = answer.child("delegation", ns::DELEGATION)?.child("forwarded", ns::FORWARD)?;
    let inner = Forwarded::parse(forwarded).ok()?.stanza;
    let mut result = Stanza::from_element(inner).ok()?;
    // A request without address is to the own account, and so may its answer be without.
    let from_fits = result.from.is_none() || result.from == request.to;
    let fits = result.iq_type() == Some(IqType::Result)
        && result.to == request.from
        && result.id == request.id
        && from_fits;
    result.from.clone_from(&request.to);
    fits.then_some(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let text = "hosts = ['b', 'other']\n[[component]]\ndomain = 'c.b'\nsecret = '12345678'\n\
            delegations = [{ namespace = 'urn:all' }, \
            { namespace = 'urn:some', attributes = ['node', 'x'] }, \
            { namespace = 'urn:xmpp:delegation:2:bare:disco#info:*' }]";
        Config::parse(text, []).unwrap()
    }

    fn stanza(text: &str) -> Stanza {
        Stanza::from_element(text.parse().unwrap()).unwrap()
    }

    #[test]
    fn requests_are_delegated_by_namespace_attributes_and_address() {
        let config = config();
        let delegated = |header: &str, payload: &str| {
            let text = format!("<iq xmlns='jabber:client' id='1' {header}>{payload}</iq>");
            manager(&config, &stanza(&text)).is_some()
        };
        let all = "<q xmlns='urn:all'/>";
        assert!(delegated("type='get' from='a@b/x' to='a@b'", all));
        assert!(delegated("type='set' from='e@f/x' to='a@b'", all));
        assert!(delegated("type='get' from='a@b/x' to='b'", all));
        assert!(!delegated("type='get' from='a@b/x' to='a@b/y'", all), "a device");
        assert!(!delegated("type='get' from='a@b/x' to='other'", all), "another host");
        assert!(!delegated("type='result' from='a@b/x' to='a@b'", all), "no request");
        assert!(!delegated("type='get' from='c.b' to='a@b'", all), "the component itself");
        assert!(!delegated("type='get' from='u@c.b' to='a@b'", all), "the component itself");
        let some = |attributes: &str| {
            delegated(
                "type='get' from='a@b/x' to='a@b'",
                &format!("<q xmlns='urn:some' {attributes}/>"),
            )
        };
        assert!(some("node='' x='1' y='2'"));
        assert!(!some("node=''") && !some(""));
    }

    #[test]
    fn discovery_of_accounts_is_delegated_by_itself() {
        let config = config();
        let delegated = |to: &str, ns: &str| {
            let text = format!(
                "<iq xmlns='jabber:client' id='1' type='get' from='a@b/x' to='{to}'>\
                 <query xmlns='{ns}' node='n'/></iq>"
            );
            discovery_manager(&config, &stanza(&text)).is_some()
        };
        assert!(delegated("a@b", ns::DISCO_INFO));
        assert!(!delegated("b", ns::DISCO_INFO));
        assert!(!delegated("a@b", ns::DISCO_ITEMS));
        assert!(!delegated("a@b", "urn:all"));
    }

    #[test]
    fn an_answer_fits_its_request() {
        let request = stanza(
            "<iq xmlns='jabber:client' id='1' type='get' from='a@b/x' to='a@b'><q xmlns='u'/></iq>",
        );
        let answered = |type_: &str, inner: &str| {
            let text = format!(
                "<iq xmlns='jabber:client' type='{type_}' id='d' from='c.b' to='b'>\
                 <delegation xmlns='urn:xmpp:delegation:2'><forwarded xmlns='urn:xmpp:forward:0'>\
                 {inner}</forwarded></delegation></iq>"
            );
            unwrap(&request, &stanza(&text))
        };
        let result = |attributes: &str| format!("<iq xmlns='jabber:client' {attributes}/>");
        let good = answered("result", &result("type='result' id='1' to='a@b/x'")).unwrap();
        assert_eq!(good.from, request.to);
        assert!(
            answered("result", &result("type='result' id='1' to='a@b/x' from='a@b'")).is_some()
        );
        for wrong in [
            "type='result' id='2' to='a@b/x'",
            "type='result' id='1' to='a@b/y'",
            "type='result' id='1'",
            "type='result' id='1' to='a@b/x' from='e@b'",
            "type='error' id='1' to='a@b/x'",
            "type='set' id='1' to='a@b/x'",
        ] {
            assert!(answered("result", &result(wrong)).is_none(), "{wrong}");
        }
        assert!(answered("result", "<message xmlns='jabber:client' id='1' to='a@b/x'/>").is_none());
        assert!(answered("result", "").is_none());
        assert!(answered("error", &result("type='result' id='1' to='a@b/x'")).is_none());
    }
}
