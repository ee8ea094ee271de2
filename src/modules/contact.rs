//! Whom to write to about this server (XEP-0157), from the configuration.

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::config;
use wello_kernel::hooks::{DiscoQuery, Discovery, IqScope};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_wire::ns;
use wello_wire::payload::contact::ContactAddresses;
use wello_wire::payload::data_form::{DataForm, Field, FormKind};
use wello_wire::payload::disco::DiscoInfo;

pub struct Contact;

const SPECS: &[Spec] = &[Spec {
    id: "XEP-0157",
    title: "Contact Addresses for XMPP Services",
    version: "1.1.1",
    status: Status::Complete,
    host_features: &[],
    account_features: &[],
}];

impl Module for Contact {
    fn name(&self) -> &'static str {
        "contact"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.discovery(self);
    }
}

#[async_trait]
impl Discovery for Contact {
    async fn info(&self, kernel: &Arc<Kernel>, query: &DiscoQuery, info: &mut DiscoInfo) {
        if query.scope == IqScope::Host {
            info.forms.extend(addresses(&kernel.config.contact).to_form());
        }
    }
}

/// Adds to the form of the addresses, which is made if there are none: a service has one form of this
/// type (XEP-0485, section 9.2).
pub(crate) fn add_field(info: &mut DiscoInfo, var: &str, value: String) {
    let field = Field::untyped(var).with_value(value);
    let form = info.forms.iter_mut().find(|form| form.form_type() == Some(ns::SERVER_CONTACT));
    match form {
        Some(form) => form.fields.push(field),
        None => {
            let form = DataForm::typed(FormKind::Result, ns::SERVER_CONTACT);
            info.forms.push(form.with(field));
        }
    }
}

fn addresses(contact: &config::Contact) -> ContactAddresses {
    ContactAddresses {
        abuse: contact.abuse.clone(),
        admin: contact.admin.clone(),
        feedback: contact.feedback.clone(),
        sales: contact.sales.clone(),
        security: contact.security.clone(),
        status: contact.status.clone(),
        support: contact.support.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_in_the_one_form() {
        let mut info = DiscoInfo::default();
        add_field(&mut info, "a", "1".to_owned());
        add_field(&mut info, "b", "2".to_owned());
        assert_eq!(info.forms.len(), 1);
        assert_eq!((info.forms[0].value("a"), info.forms[0].value("b")), (Some("1"), Some("2")));
    }

    #[test]
    fn each_kind_of_address_lands_in_its_field() {
        let list = |kind: &str| vec![format!("mailto:{kind}@a.example")];
        let contact = config::Contact {
            abuse: list("abuse"),
            admin: list("admin"),
            feedback: list("feedback"),
            sales: list("sales"),
            security: list("security"),
            status: list("status"),
            support: list("support"),
        };
        let form = addresses(&contact).to_form().unwrap();
        for kind in ["abuse", "admin", "feedback", "sales", "security", "status", "support"] {
            assert_eq!(form.values(&format!("{kind}-addresses")), list(kind));
        }
        assert_eq!(addresses(&config::Contact::default()).to_form(), None);
    }
}
