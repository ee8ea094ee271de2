//! Session establishment (RFC 3921, section 3): a no-operation since RFC 6120, which clients that
//! follow the older document (Strophe, and with it Converse.js) do not log in without.

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::hooks::{IqAnswer, IqHandler, IqRequest, IqScope, Request};
use wello_kernel::module::{Module, Registrar, Spec};
use wello_wire::error::StanzaError;
use wello_wire::ns;

pub struct Establishment;

impl Module for Establishment {
    fn name(&self) -> &'static str {
        "establishment"
    }

    fn specs(&self) -> &'static [Spec] {
        &[]
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        for scope in [IqScope::Account, IqScope::Host] {
            registrar.iq(scope, ns::SESSION, Arc::clone(&self) as _);
        }
    }
}

#[async_trait]
impl IqHandler for Establishment {
    async fn handle(
        &self,
        _kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        request.expect(Request::Set)?;
        if request.session.is_none() || !(request.is_own() || request.to.local().is_none()) {
            return Err(StanzaError::service_unavailable(""));
        }
        Ok(IqAnswer::Result(None))
    }
}
