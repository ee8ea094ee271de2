//! vCards in the format of RFC 6351 (XEP-0292), read and written by IQ.

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::hooks::{IqAnswer, IqHandler, IqRequest, IqScope};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_store::DocumentKey;
use wello_wire::error::StanzaError;
use wello_wire::ns;

use crate::vcard;

pub struct VCard4;

const SPECS: &[Spec] = &[Spec {
    id: "XEP-0292",
    title: "vCard4 Over XMPP",
    version: "0.11",
    status: Status::Partial("the IQ form; version 0.12 replaces it by personal eventing"),
    host_features: &[],
    account_features: &[ns::VCARD4],
}];

impl Module for VCard4 {
    fn name(&self) -> &'static str {
        "vcard4"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.iq(IqScope::Account, ns::VCARD4, self);
    }
}

#[async_trait]
impl IqHandler for VCard4 {
    async fn handle(
        &self,
        kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        vcard::handle(kernel, &request, "vcard", &DocumentKey::VCard4).await
    }
}
