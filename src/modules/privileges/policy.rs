//! What a component may send in the name of others.

use wello_kernel::config::{MessagePrivilege, Privileges};
use wello_kernel::hooks::Request;
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::forward::Forwarded;
use wello_wire::stanza::{IqType, Kind, Stanza};
use wello_wire::xml::Element;

/// A request in the name of an account.
#[derive(Debug, PartialEq)]
pub struct Question {
    pub id: String,
    pub account: BareJid,
    pub to: Jid,
    pub type_: IqType,
    pub payload: Element,
}

/// The message in a `<privilege/>` that was sent to a host (section 5.3). Whether its sender is an account is
/// still to be seen.
pub fn inner_message(
    granted: Option<&Privileges>,
    host: &str,
    privilege: &Element,
) -> Result<Stanza, StanzaError> {
    if granted.is_none_or(|privileges| privileges.message != MessagePrivilege::Outgoing) {
        return Err(forbidden("no permission to send messages"));
    }
    let forwarded = privilege
        .child("forwarded", ns::FORWARD)
        .ok_or_else(|| StanzaError::bad_request("nothing is forwarded"))?;
    let mut message = client_stanza(Forwarded::parse(forwarded)?.stanza, Kind::Message)?;
    let from = message.from.clone().ok_or_else(|| forbidden("a sender is needed"))?;
    if !from.is_bare() || from.domain() != host {
        return Err(forbidden("not a bare address of this host"));
    }
    message.to.get_or_insert(from);
    Ok(message)
}

/// What is asked in the name of an account (section 6.3), with both its addresses.
pub fn inner_iq(granted: Option<&Privileges>, outer: &Stanza) -> Result<Question, StanzaError> {
    let account = outer.to.as_ref().filter(|to| to.is_bare() && to.local().is_some());
    let account = account.ok_or_else(|| forbidden("not the bare address of an account"))?;
    let wrapper = outer.child("privileged_iq", ns::PRIVILEGE);
    let inner = wrapper.and_then(|wrapper| wrapper.child("iq", ns::CLIENT)).cloned();
    let inner = inner.ok_or_else(|| forbidden("no request of jabber:client inside"))?;
    let inner = client_stanza(inner, Kind::Iq)?;
    if inner.from.as_ref().is_some_and(|from| from != account) {
        return Err(forbidden("the request is of somebody else"));
    }
    if inner.type_ != outer.type_ {
        return Err(forbidden("the types of both requests differ"));
    }
    let (type_, request) = match inner.iq_type() {
        Some(IqType::Get) => (IqType::Get, Request::Get),
        Some(IqType::Set) => (IqType::Set, Request::Set),
        _ => return Err(StanzaError::bad_request("not a request")),
    };
    let mut children = inner.children();
    let (Some(payload), None) = (children.next().cloned(), children.next()) else {
        return Err(StanzaError::bad_request("a request has one payload"));
    };
    let access = granted.and_then(|privileges| privileges.iq.get(payload.ns()));
    if !access.is_some_and(|access| access.allows(request)) {
        return Err(forbidden("no permission for this namespace and type"));
    }
    let id = inner.id.as_deref().ok_or_else(|| StanzaError::bad_request("an IQ needs an id"))?;
    Ok(Question {
        id: id.to_owned(),
        account: account.bare(),
        to: inner.to.clone().unwrap_or_else(|| account.clone()),
        type_,
        payload,
    })
}

fn client_stanza(element: Element, kind: Kind) -> Result<Stanza, StanzaError> {
    if !element.is(kind.name(), ns::CLIENT) {
        return Err(StanzaError::bad_request("not a stanza of this kind"));
    }
    Stanza::from_element(element).map_err(|error| StanzaError::jid_malformed(error.to_string()))
}

fn forbidden(text: &str) -> StanzaError {
    StanzaError::forbidden(text)
}

#[cfg(test)]
mod tests {
    use wello_kernel::config::Access;
    use wello_wire::error::Condition;

    use super::*;

    fn stanza(text: &str) -> Stanza {
        Stanza::from_element(text.parse().unwrap()).unwrap()
    }

    fn message(privileges: &Privileges, inner: &str) -> Result<Stanza, Condition> {
        let text = format!(
            "<privilege xmlns='urn:xmpp:privilege:2'><forwarded xmlns='urn:xmpp:forward:0'>{inner}\
             </forwarded></privilege>"
        );
        inner_message(Some(privileges), "b", &text.parse().unwrap())
            .map_err(|error| error.condition)
    }

    #[test]
    fn messages_are_of_bare_addresses_of_the_host() {
        let mut privileges =
            Privileges { message: MessagePrivilege::Outgoing, ..Privileges::default() };
        for (inner, expected) in [
            ("<message xmlns='jabber:client' from='a@b' to='c@d'/>", Ok("c@d")),
            ("<message xmlns='jabber:client' from='b' to='c@d'/>", Ok("c@d")),
            ("<message xmlns='jabber:client' from='a@b'/>", Ok("a@b")),
            ("<message xmlns='jabber:client' from='a@b/x' to='c@d'/>", Err(Condition::Forbidden)),
            ("<message xmlns='jabber:client' from='a@other' to='c@d'/>", Err(Condition::Forbidden)),
            ("<message xmlns='jabber:client' from='a@x.b' to='c@d'/>", Err(Condition::Forbidden)),
            ("<message xmlns='jabber:client' to='c@d'/>", Err(Condition::Forbidden)),
            ("<message xmlns='jabber:client' from='@' to='c@d'/>", Err(Condition::JidMalformed)),
            ("<message xmlns='jabber:server' from='a@b' to='c@d'/>", Err(Condition::BadRequest)),
            ("<presence xmlns='jabber:client' from='a@b' to='c@d'/>", Err(Condition::BadRequest)),
            ("", Err(Condition::BadRequest)),
        ] {
            let found = message(&privileges, inner);
            let found = found.map(|message| message.to.unwrap().to_string());
            assert_eq!(found, expected.map(str::to_owned), "{inner}");
        }
        privileges.message = MessagePrivilege::None;
        let inner = "<message xmlns='jabber:client' from='a@b' to='c@d'/>";
        assert_eq!(message(&privileges, inner).unwrap_err(), Condition::Forbidden);
    }

    /// Section 6.3: what is refused.
    #[test]
    fn requests_are_of_the_account_asked_and_of_what_is_granted() {
        let iq = [("urn:set".to_owned(), Access::Set), ("urn:both".to_owned(), Access::Both)];
        let privileges = Privileges { iq: iq.into(), ..Privileges::default() };
        let ask = |to: &str, type_: &str, inner: &str| {
            let text = format!(
                "<iq xmlns='jabber:client' from='c.b' to='{to}' type='{type_}' id='o'>\
                 <privileged_iq xmlns='urn:xmpp:privilege:2'>{inner}</privileged_iq></iq>"
            );
            inner_iq(Some(&privileges), &stanza(&text)).map_err(|error| error.condition)
        };
        let inner = |attributes: &str, ns: &str| {
            format!("<iq xmlns='jabber:client' id='i' {attributes}><q xmlns='{ns}'/></iq>")
        };
        let set = inner("type='set' to='c@d'", "urn:set");
        let asked = ask("a@b", "set", &set).unwrap();
        assert_eq!((asked.id.as_str(), asked.account.as_str()), ("i", "a@b"));
        assert_eq!((asked.to.as_str(), asked.type_), ("c@d", IqType::Set));
        let own = ask("a@b", "get", &inner("type='get' from='a@b'", "urn:both")).unwrap();
        assert_eq!(own.to.as_str(), "a@b");
        for (to, type_, inner) in [
            ("a@b/x", "set", set.clone()),
            ("b", "set", set.clone()),
            ("a@b", "get", set.clone()),
            ("a@b", "get", inner("type='get' to='c@d'", "urn:set")),
            ("a@b", "set", inner("type='set' to='c@d'", "urn:other")),
            ("a@b", "set", inner("type='set' to='c@d' from='e@b'", "urn:set")),
            ("a@b", "set", inner("type='set' to='c@d' from='a@b/x'", "urn:set")),
            ("a@b", "set", set.replace("jabber:client", "jabber:server")),
            ("a@b", "set", String::new()),
        ] {
            assert_eq!(ask(to, type_, &inner), Err(Condition::Forbidden), "{to} {type_} {inner}");
        }
        let two = "<iq xmlns='jabber:client' id='i' type='set'><q xmlns='urn:set'/><q/></iq>";
        assert_eq!(ask("a@b", "set", two), Err(Condition::BadRequest));
        let text = "<iq xmlns='jabber:client' from='c.b' to='a@b' type='set' id='o'>\
            <privileged_iq xmlns='urn:xmpp:privilege:2'/></iq>";
        let none = inner_iq(
            None,
            &stanza(&text.replace("/></iq>", &format!(">{set}</privileged_iq></iq>"))),
        );
        assert_eq!(none.unwrap_err().condition, Condition::Forbidden);
    }
}
