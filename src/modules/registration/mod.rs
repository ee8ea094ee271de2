//! In-band registration (XEP-0077), with invitations (XEP-0445), and contacts by invitation
//! (XEP-0379).

mod before_login;
mod contacts;
mod own;
mod refusals;

use std::sync::Arc;

use wello_kernel::hooks::IqScope;
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_wire::ns;

pub struct Registration;

const SPECS: &[Spec] = &[
    Spec {
        id: "XEP-0077",
        title: "In-Band Registration",
        version: "2.4",
        status: Status::Complete,
        host_features: &[ns::REGISTER],
        account_features: &[],
    },
    Spec {
        id: "XEP-0379",
        title: "Pre-Authenticated Roster Subscription",
        version: "0.3.3",
        status: Status::Complete,
        host_features: &[],
        account_features: &[],
    },
    Spec {
        id: "XEP-0445",
        title: "Pre-Authenticated In-Band Registration",
        version: "0.2.0",
        status: Status::Complete,
        host_features: &[],
        account_features: &[],
    },
];

impl Module for Registration {
    fn name(&self) -> &'static str {
        "registration"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.iq(IqScope::Host, ns::REGISTER, Arc::clone(&self) as _);
        // Without an address a request goes to the account (RFC 6120, section 10.3.3).
        registrar.iq(IqScope::Account, ns::REGISTER, Arc::clone(&self) as _);
        registrar.guard(Arc::clone(&self) as _);
        registrar.before_login(self);
    }
}
