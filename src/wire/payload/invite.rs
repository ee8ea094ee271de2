//! Invitations: links and their forms (XEP-0401), tokens in presence (XEP-0379)
//! and before registration (XEP-0445).

use std::fmt;

use super::{
    PayloadError,
    data_form::{DataForm, Field, FormKind},
    datetime::Timestamp,
    dom::{expect, required},
};
use crate::{
    jid::{BareJid, Jid},
    ns,
    xml::Element,
};

/// The token in a subscription request or before a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preauth {
    pub token: String,
}

impl Preauth {
    pub fn parse(preauth: &Element) -> Result<Self, PayloadError> {
        expect(preauth, "preauth", ns::PARS)?;
        Ok(Self { token: required(preauth, "token")?.to_owned() })
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        Element::new("preauth", ns::PARS).with_attr("token", self.token.as_str())
    }
}

/// The link that is handed over; displayed as an XMPP URI (RFC 5122).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InviteUri {
    /// Become a contact of `inviter`, on a new account here if `register`.
    Contact { inviter: BareJid, token: String, register: bool },
    /// Register `account`, or any name if that is only a domain.
    Account { account: BareJid, token: String },
}

impl fmt::Display for InviteUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (jid, query, token) = match self {
            Self::Contact { inviter, token, .. } => (inviter, "roster", token),
            Self::Account { account, token } => (account, "register", token),
        };
        f.write_str("xmpp:")?;
        if let Some(local) = jid.local() {
            escape(local, f)?;
            f.write_str("@")?;
        }
        escape(jid.domain(), f)?;
        write!(f, "?{query};preauth=")?;
        escape(token, f)?;
        match self {
            Self::Contact { register: true, .. } => f.write_str(";ibr=y"),
            _ => Ok(()),
        }
    }
}

/// Percent-encodes all but the unreserved characters of RFC 3986 §2.3 and the
/// brackets and colons of an IPv6 address.
fn escape(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    text.bytes().try_for_each(|byte| match byte {
        b'A'..=b'Z'
        | b'a'..=b'z'
        | b'0'..=b'9'
        | b'-'
        | b'.'
        | b'_'
        | b'~'
        | b'['
        | b']'
        | b':' => write!(f, "{}", char::from(byte)),
        _ => write!(f, "%{byte:02X}"),
    })
}

/// The result of both commands of XEP-0401.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    pub uri: InviteUri,
    /// The page for those who have no client yet.
    pub landing_url: Option<String>,
    pub expires: Option<Timestamp>,
}

impl Invitation {
    #[must_use]
    pub fn to_form(&self) -> DataForm {
        let mut form = DataForm::typed(FormKind::Result, ns::INVITE_INVITATION)
            .with(Field::text_single("uri", "Invite URI").with_value(self.uri.to_string()));
        if let Some(url) = &self.landing_url {
            form = form.with(Field::text_single("landing-url", "Invite page").with_value(url));
        }
        if let Some(expires) = self.expires {
            let field = Field::text_single("expire", "Valid until");
            form = form.with(field.with_value(expires.to_string()));
        }
        form
    }
}

/// What the command `create-account` is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateAccount {
    /// The localpart, normalised; absent when the invited person chooses it.
    pub username: Option<String>,
    /// The new account and the inviter become contacts.
    pub roster_subscription: bool,
}

impl CreateAccount {
    #[must_use]
    pub fn form() -> DataForm {
        DataForm::typed(FormKind::Form, ns::INVITE_CREATE_ACCOUNT)
            .with(Field::text_single("username", "Username"))
            .with(Field::boolean("roster-subscription", "Roster subscription"))
    }

    /// Reads a submission for an account at `domain`.
    pub fn parse(form: &DataForm, domain: &str) -> Result<Self, PayloadError> {
        let username = form
            .value("username")
            .map(|name| Jid::from_parts(Some(name), domain, None))
            .transpose()?
            .and_then(|jid| jid.local().map(str::to_owned));
        Ok(Self {
            username,
            roster_subscription: form.boolean("roster-subscription")?.unwrap_or(false),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::dom::el;

    #[test]
    fn preauth() {
        let element = el("<preauth xmlns='urn:xmpp:pars:0' token='1tMFqYDdKhfe2pwp'/>");
        assert_eq!(Preauth::parse(&element).unwrap().to_element(), element);
        let odd = el("<preauth xmlns='urn:xmpp:pars:0' token='1' x='y'><z/></preauth>");
        assert_eq!(Preauth::parse(&odd).unwrap().token, "1");
        let none = el("<preauth xmlns='urn:xmpp:pars:0' token=''/>");
        assert_eq!(Preauth::parse(&none), Err(PayloadError::Missing("token")));
    }

    #[test]
    fn uris() {
        let contact = |jid: &str, register| {
            InviteUri::Contact { inviter: jid.parse().unwrap(), token: "TOKEN".into(), register }
                .to_string()
        };
        assert_eq!(
            contact("romeo@example.com", true),
            "xmpp:romeo@example.com?roster;preauth=TOKEN;ibr=y"
        );
        assert_eq!(
            contact("a?b;c%é@[::1]", false),
            "xmpp:a%3Fb%3Bc%25%C3%A9@[::1]?roster;preauth=TOKEN"
        );
        let account = |jid: &str| {
            InviteUri::Account { account: jid.parse().unwrap(), token: "a&b".into() }.to_string()
        };
        assert_eq!(account("juliet@example.com"), "xmpp:juliet@example.com?register;preauth=a%26b");
        assert_eq!(account("example.com"), "xmpp:example.com?register;preauth=a%26b");
    }

    #[test]
    fn result_form() {
        let invitation = Invitation {
            uri: InviteUri::Account { account: "b".parse().unwrap(), token: "t".into() },
            landing_url: Some("https://b/invite/#t".into()),
            expires: Some("2017-11-06T02:56:15Z".parse().unwrap()),
        };
        let form = DataForm::parse(&invitation.to_form().to_element()).unwrap();
        assert_eq!(form.form_type(), Some(ns::INVITE_INVITATION));
        assert_eq!(form.value("uri"), Some("xmpp:b?register;preauth=t"));
        assert_eq!(form.value("landing-url"), Some("https://b/invite/#t"));
        assert_eq!(form.value("expire"), Some("2017-11-06T02:56:15Z"));
    }

    #[test]
    fn account_form() {
        let submit = |fields: &[(&str, &str)]| {
            let form = fields.iter().fold(DataForm::new(FormKind::Submit), |form, (var, value)| {
                form.with(Field::untyped(*var).with_value(*value))
            });
            assert_eq!(CreateAccount::form().check(&form), Ok(()));
            CreateAccount::parse(&form, "b")
        };
        let read = submit(&[("username", "Juliet"), ("roster-subscription", "1")]).unwrap();
        assert_eq!(read.username.as_deref(), Some("juliet"));
        assert!(read.roster_subscription);
        let free = submit(&[("username", ""), ("unknown", "x")]).unwrap();
        assert_eq!(free.username, None);
        assert!(matches!(submit(&[("username", "a b")]), Err(PayloadError::Jid(_))));
    }
}
