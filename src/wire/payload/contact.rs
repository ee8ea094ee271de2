//! Contact addresses of a service (XEP-0157), for its disco#info.

use super::data_form::{DataForm, Field, FormKind};
use crate::ns;

/// URIs, such as `mailto:` and `xmpp:`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContactAddresses {
    pub abuse: Vec<String>,
    pub admin: Vec<String>,
    pub feedback: Vec<String>,
    pub sales: Vec<String>,
    pub security: Vec<String>,
    pub status: Vec<String>,
    pub support: Vec<String>,
}

impl ContactAddresses {
    /// None if there is no address at all.
    #[must_use]
    pub fn to_form(&self) -> Option<DataForm> {
        let lists = [
            ("abuse-addresses", &self.abuse),
            ("admin-addresses", &self.admin),
            ("feedback-addresses", &self.feedback),
            ("sales-addresses", &self.sales),
            ("security-addresses", &self.security),
            ("status-addresses", &self.status),
            ("support-addresses", &self.support),
        ];
        let mut form = DataForm::typed(FormKind::Result, ns::SERVER_CONTACT);
        for (var, addresses) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            form = form.with(Field::untyped(var).with_values(addresses.iter().cloned()));
        }
        (form.fields.len() > 1).then_some(form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::dom::el;

    #[test]
    fn form() {
        assert_eq!(ContactAddresses::default().to_form(), None);
        let addresses = ContactAddresses {
            abuse: vec!["mailto:abuse@b".into(), "xmpp:abuse@b".into()],
            status: vec!["https://status.b".into()],
            ..ContactAddresses::default()
        };
        let expected = el("<x xmlns='jabber:x:data' type='result'>\
             <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/network/serverinfo</value></field>\
             <field var='abuse-addresses'><value>mailto:abuse@b</value><value>xmpp:abuse@b</value></field>\
             <field var='status-addresses'><value>https://status.b</value></field></x>");
        assert_eq!(addresses.to_form().unwrap().to_element(), expected);
    }
}
