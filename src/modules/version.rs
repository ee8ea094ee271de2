//! Software version (XEP-0092).

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::hooks::{IqAnswer, IqHandler, IqRequest, IqScope, Request};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_wire::error::StanzaError;
use wello_wire::ns;
use wello_wire::payload::version::SoftwareVersion;

pub struct Version;

const SPECS: &[Spec] = &[Spec {
    id: "XEP-0092",
    title: "Software Version",
    version: "1.1",
    status: Status::Complete,
    host_features: &[ns::VERSION],
    account_features: &[],
}];

impl Module for Version {
    fn name(&self) -> &'static str {
        "version"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        for scope in [IqScope::Host, IqScope::Service] {
            registrar.iq(scope, ns::VERSION, Arc::clone(&self) as _);
        }
    }
}

#[async_trait]
impl IqHandler for Version {
    async fn handle(
        &self,
        _kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        request.expect(Request::Get)?;
        Ok(software().to_element().into())
    }
}

pub(crate) fn software() -> SoftwareVersion {
    SoftwareVersion {
        name: "Wello".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        // Section 6: the operating system is nobody's business.
        os: None,
    }
}
