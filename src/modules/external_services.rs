//! Tells clients of STUN, TURN and other services outside the server, with credentials of their own
//! (XEP-0215).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use wello_kernel::Kernel;
use wello_kernel::clock::random_id;
use wello_kernel::hooks::{Chore, IqAnswer, IqHandler, IqRequest, IqScope, Request, SessionEvents};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_kernel::sessions::Session;
use wello_store::Timestamp;
use wello_wire::error::StanzaError;
use wello_wire::jid::{FullJid, Jid};
use wello_wire::ns;
use wello_wire::payload::external_services::{Service, ServicesRequest};
use wello_wire::stanza::{IqType, Stanza};
use wello_wire::xml::Element;

/// Remembers which clients are to be told when their credentials come to an end.
#[derive(Default)]
pub struct ExternalServices {
    /// By client and type of service.
    told: Mutex<HashMap<(FullJid, String), Told>>,
}

/// What a session was last told of the services of a type.
#[derive(Clone)]
struct Told {
    host: Jid,
    expires: Timestamp,
}

const SPECS: &[Spec] = &[Spec {
    id: "XEP-0215",
    title: "External Service Discovery",
    version: "1.0.0",
    status: Status::Complete,
    host_features: &[ns::EXTDISCO],
    account_features: &[],
}];

/// Clients get new credentials when the old ones are good for less than this: time for a call to
/// begin with them.
const AHEAD: Duration = Duration::from_secs(15 * 60);

impl Module for ExternalServices {
    fn name(&self) -> &'static str {
        "external_services"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.iq(IqScope::Host, ns::EXTDISCO, Arc::clone(&self) as _);
        registrar.sessions(Arc::clone(&self) as _);
        registrar.chore(self);
    }
}

#[async_trait]
impl IqHandler for ExternalServices {
    async fn handle(
        &self,
        kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        request.expect(Request::Get)?;
        let asked = ServicesRequest::parse(request.payload)?;
        let account = kernel.local_account(request.from).await?;
        let services = kernel.external_services(&account);
        match asked {
            ServicesRequest::List { kind } => {
                let list = list(&services, kind.as_deref());
                if let (Some(kind), Some(session)) = (kind, request.session) {
                    self.remember(session, request.to.into(), kind, &services);
                }
                Ok(list.into())
            }
            ServicesRequest::Credentials(places) => {
                let mut found = services.iter().filter(|service| {
                    service.credentials.is_some() && places.iter().any(|place| place.is_of(service))
                });
                let Some(first) = found.next() else {
                    let text = "no credentials for such a service";
                    return Err(StanzaError::item_not_found(text));
                };
                let elements = std::iter::once(first).chain(found).map(Service::to_element);
                Ok(Element::new("credentials", ns::EXTDISCO).with_children(elements).into())
            }
        }
    }
}

fn list(services: &[Service], kind: Option<&str>) -> Element {
    let wanted = services.iter().filter(|service| kind.is_none_or(|kind| service.kind == kind));
    Element::new("services", ns::EXTDISCO)
        .with_attr_opt("type", kind.map(str::to_owned))
        .with_children(wanted.map(Service::to_element))
}

fn first_end(services: &[Service], kind: &str) -> Option<Timestamp> {
    let wanted = services.iter().filter(|service| service.kind == kind);
    wanted.filter_map(|service| service.credentials.as_ref()?.expires).min()
}

impl ExternalServices {
    /// Section 3.2: whoever has asked for services of a type can be told what changes.
    fn remember(&self, session: &Session, host: Jid, kind: String, services: &[Service]) {
        let Some(expires) = first_end(services, &kind) else { return };
        self.told.lock().insert((session.jid.clone(), kind), Told { host, expires });
    }

    async fn renew(&self, kernel: &Arc<Kernel>, asked: (FullJid, String), host: Jid) {
        let (client, kind) = &asked;
        let services = kernel.external_services(&client.bare());
        let push =
            Element::new("services", ns::EXTDISCO).with_attr("type", kind.as_str()).with_children(
                services
                    .iter()
                    .filter(|service| service.kind == *kind)
                    .map(|service| service.to_element().with_attr("action", "modify")),
            );
        if let Some(expires) = first_end(&services, kind)
            && let Some(known) = self.told.lock().get_mut(&asked)
        {
            known.expires = expires;
        }
        let iq = Stanza::iq(IqType::Set, random_id()).with_from(host).with_to(asked.0);
        kernel.route(iq.with_child(push)).await;
    }
}

#[async_trait]
impl SessionEvents for ExternalServices {
    async fn ended(&self, _kernel: &Arc<Kernel>, session: &Arc<Session>) {
        self.told.lock().retain(|(client, _), _| *client != session.jid);
    }
}

#[async_trait]
impl Chore for ExternalServices {
    fn interval(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn run(&self, kernel: &Arc<Kernel>) {
        let limit = kernel.clock.now().saturating_add(AHEAD);
        let ending = |(asked, told): (&(FullJid, String), &Told)| {
            (told.expires < limit).then(|| (asked.clone(), told.host.clone()))
        };
        let ending: Vec<_> = self.told.lock().iter().filter_map(ending).collect();
        for (asked, host) in ending {
            self.renew(kernel, asked, host).await;
        }
    }
}
