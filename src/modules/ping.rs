//! XMPP ping (XEP-0199).

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::hooks::{IqAnswer, IqHandler, IqRequest, IqScope, Request};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_wire::error::StanzaError;
use wello_wire::ns;

pub struct Ping;

const SPECS: &[Spec] = &[Spec {
    id: "XEP-0199",
    title: "XMPP Ping",
    version: "2.0.1",
    status: Status::Complete,
    host_features: &[ns::PING],
    account_features: &[ns::PING],
}];

impl Module for Ping {
    fn name(&self) -> &'static str {
        "ping"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        for scope in [IqScope::Account, IqScope::Host, IqScope::Service] {
            registrar.iq(scope, ns::PING, Arc::clone(&self) as _);
        }
    }
}

#[async_trait]
impl IqHandler for Ping {
    async fn handle(
        &self,
        _kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        request.expect(Request::Get)?;
        Ok(IqAnswer::Result(None))
    }
}
