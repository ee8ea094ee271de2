//! Entity time (XEP-0202).

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::hooks::{IqAnswer, IqHandler, IqRequest, IqScope, Request};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_wire::error::StanzaError;
use wello_wire::ns;
use wello_wire::payload::time::EntityTime;

pub struct Time;

const SPECS: &[Spec] = &[Spec {
    id: "XEP-0202",
    title: "Entity Time",
    version: "2.0",
    status: Status::Complete,
    host_features: &[ns::TIME],
    account_features: &[],
}];

impl Module for Time {
    fn name(&self) -> &'static str {
        "time"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        for scope in [IqScope::Host, IqScope::Service] {
            registrar.iq(scope, ns::TIME, Arc::clone(&self) as _);
        }
    }
}

#[async_trait]
impl IqHandler for Time {
    async fn handle(
        &self,
        kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        request.expect(Request::Get)?;
        Ok(EntityTime::utc(kernel.clock.now()).to_element().into())
    }
}
