//! Where to look when the server is away (XEP-0455), and what it does with data (XEP-0504), from the
//! configuration.

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::config::{DataPolicy, Hours, Outage};
use wello_kernel::hooks::{DiscoQuery, Discovery, IqScope};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_wire::ns;
use wello_wire::payload::data_form::FieldKind::{
    Boolean, ListMulti, ListSingle, TextMulti, TextSingle,
};
use wello_wire::payload::data_form::{DataForm, Field, FieldKind, FormKind};
use wello_wire::payload::disco::DiscoInfo;

pub struct About;

const SPECS: &[Spec] = &[
    Spec {
        id: "XEP-0455",
        title: "Service Outage Status",
        version: "0.4.0",
        status: Status::Complete,
        host_features: &[],
        account_features: &[],
    },
    Spec {
        id: "XEP-0504",
        title: "Data Policy",
        version: "0.1.0",
        status: Status::Complete,
        host_features: &[],
        account_features: &[],
    },
];

impl Module for About {
    fn name(&self) -> &'static str {
        "about"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.discovery(self);
    }
}

#[async_trait]
impl Discovery for About {
    /// Services keep what they have in the same place as their host, and tell the same of it.
    async fn info(&self, kernel: &Arc<Kernel>, query: &DiscoQuery, info: &mut DiscoInfo) {
        let config = &kernel.config;
        match query.scope {
            IqScope::Host => {
                info.forms.extend(outage(&config.outage));
                info.forms.extend(policy(&config.data_policy));
            }
            IqScope::Service => info.forms.extend(policy(&config.data_policy)),
            IqScope::Account => {}
        }
    }
}

/// XEP-0455, section 2.1.
fn outage(outage: &Outage) -> Option<DataForm> {
    let addresses = field(ListMulti, "external-status-addresses", outage.status_addresses.clone());
    form(ns::OUTAGE, [addresses])
}

/// XEP-0504, section 3.
fn policy(policy: &DataPolicy) -> Option<DataForm> {
    let hours = |hours: Option<Hours>| hours.map(|hours| hours.to_string());
    let flag = |flag: Option<bool>| flag.map(|flag| flag.to_string());
    let auth = policy.auth_data.map(|auth| auth.as_str().to_owned());
    let accessors = policy.access_policy.iter().map(|accessor| accessor.as_str().to_owned());
    let backups = policy.backup_frequency.map(|hours| hours.to_string());
    let fields = [
        field(ListSingle, "auth_data", auth),
        field(TextSingle, "data_retention", hours(policy.data_retention)),
        field(Boolean, "data_deletion", flag(policy.data_deletion)),
        field(Boolean, "encryption_at_rest", flag(policy.encryption_at_rest)),
        field(TextSingle, "tos", policy.tos.clone()),
        field(Boolean, "data_export", flag(policy.data_export)),
        field(ListMulti, "access_policy", accessors),
        field(Boolean, "full_erasure", flag(policy.full_erasure)),
        field(TextSingle, "backup_frequency", backups),
        field(TextSingle, "backup_retention", hours(policy.backup_retention)),
        field(TextMulti, "extra_info", policy.extra_info.clone()),
    ];
    form(ns::DATA_POLICY, fields)
}

/// `None` when there is nothing to tell.
fn field(kind: FieldKind, var: &str, values: impl IntoIterator<Item = String>) -> Option<Field> {
    let field = Field { kind: Some(kind), ..Field::untyped(var).with_values(values) };
    (!field.values.is_empty()).then_some(field)
}

/// `None` when there is nothing to tell.
fn form(form_type: &str, fields: impl IntoIterator<Item = Option<Field>>) -> Option<DataForm> {
    let mut fields = fields.into_iter().flatten().peekable();
    fields.peek()?;
    Some(fields.fold(DataForm::typed(FormKind::Result, form_type), DataForm::with))
}

#[cfg(test)]
mod tests {
    use wello_kernel::config::Config;

    use super::*;

    fn forms(text: &str) -> [Option<DataForm>; 2] {
        let config = Config::parse(text, []).unwrap();
        [outage(&config.outage), policy(&config.data_policy)]
    }

    #[test]
    fn nothing_is_told_that_is_not_configured() {
        assert_eq!(forms(""), [None, None]);
        let [outage, policy] = forms("[outage]\nstatus_addresses = ['https://status.example/x']");
        let addresses = outage.unwrap();
        assert_eq!(addresses.form_type(), Some("urn:xmpp:sos:0"));
        assert_eq!(addresses.values("external-status-addresses"), ["https://status.example/x"]);
        assert_eq!(policy, None);
    }

    #[test]
    fn a_policy_has_fields_of_the_types_that_the_specification_wants() {
        let text = "[data_policy]\nauth_data = 'hidden'\ndata_retention = 'infinite'\n\
            data_deletion = false\naccess_policy = ['admins', 'organization_member']\n\
            backup_frequency = 24\nextra_info = ['one', 'two']";
        let [_, policy] = forms(text);
        let policy = policy.unwrap();
        let field = |var: &str| policy.field(var).map(|field| (field.kind, field.values.join(",")));
        for (var, kind, value) in [
            ("auth_data", ListSingle, "hidden"),
            ("data_retention", TextSingle, "infinite"),
            ("data_deletion", Boolean, "false"),
            ("access_policy", ListMulti, "admins,organization_member"),
            ("backup_frequency", TextSingle, "24"),
            ("extra_info", TextMulti, "one,two"),
        ] {
            assert_eq!(field(var), Some((Some(kind), value.to_owned())), "{var}");
        }
        assert_eq!(field("tos"), None);
    }
}
