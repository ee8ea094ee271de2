//! The proxy through which two clients send each other a file when neither can reach the other
//! (XEP-0065, section 6).

use std::sync::Arc;

use async_trait::async_trait;
use sha1::{Digest as _, Sha1};
use wello_kernel::Kernel;
use wello_kernel::bytestreams::ActivationError;
use wello_kernel::config::Config;
use wello_kernel::hooks::{IqAnswer, IqRequest, Request, Service};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_wire::error::StanzaError;
use wello_wire::hex;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::disco::{DiscoInfo, Identity};
use wello_wire::xml::Element;

pub struct Bytestreams {
    port: u16,
    domains: Vec<String>,
}

const SPECS: &[Spec] = &[Spec {
    id: "XEP-0065",
    title: "SOCKS5 Bytestreams",
    version: "1.8.2",
    status: Status::Partial("a proxy over TCP"),
    host_features: &[],
    account_features: &[],
}];

/// Below the host; what is before it names the host, which is where the proxy is reached.
const PREFIX: &str = "proxy.";
/// Octets of a stream's id.
const MAX_SID: usize = 1024;

impl Bytestreams {
    /// `None` where nobody listens for them.
    pub fn new(config: &Config) -> Option<Bytestreams> {
        let port = config.listen.bytestreams.first()?.port();
        let domains = config.domains().into_iter().map(|host| format!("{PREFIX}{host}"));
        Some(Bytestreams { port, domains: domains.collect() })
    }
}

impl Module for Bytestreams {
    fn name(&self) -> &'static str {
        "bytestreams"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        for domain in &self.domains {
            registrar.service(domain.clone(), Arc::clone(&self) as _);
        }
    }
}

#[async_trait]
impl Service for Bytestreams {
    async fn info(&self, _kernel: &Arc<Kernel>, _domain: &BareJid) -> DiscoInfo {
        DiscoInfo {
            identities: vec![Identity::new("proxy", "bytestreams", Some("File transfer"))],
            features: vec![ns::BYTESTREAMS.to_owned()],
            ..DiscoInfo::default()
        }
    }

    async fn answer(
        &self,
        kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        if !request.payload.is("query", ns::BYTESTREAMS) {
            return Err(StanzaError::service_unavailable(""));
        }
        kernel.local_account(request.from).await?;
        match request.request {
            Request::Get => Ok(self.streamhost(&request.to).into()),
            Request::Set => {
                activate(kernel, request.from, request.payload).map(|()| IqAnswer::Result(None))
            }
        }
    }
}

impl Bytestreams {
    fn streamhost(&self, to: &BareJid) -> Element {
        let host = to.domain().strip_prefix(PREFIX).unwrap_or(to.domain());
        let streamhost = Element::new("streamhost", ns::BYTESTREAMS)
            .with_attr("jid", to.domain())
            .with_attr("host", host)
            .with_attr("port", self.port.to_string());
        Element::new("query", ns::BYTESTREAMS).with_child(streamhost)
    }
}

/// Section 6.3.5.
fn activate(kernel: &Kernel, requester: &Jid, query: &Element) -> Result<(), StanzaError> {
    let target = query.child("activate", ns::BYTESTREAMS);
    let target = target.ok_or_else(|| StanzaError::bad_request("whom to activate is missing"))?;
    let target: Jid = target.text().trim().parse()?;
    let sid = query.attr("sid").filter(|sid| !sid.is_empty() && sid.len() <= MAX_SID);
    let sid = sid.ok_or_else(|| StanzaError::bad_request("sid is missing or too long"))?;
    let account = requester.bare();
    kernel.bytestreams.activate(&hash(sid, requester, &target), &account).map_err(|error| {
        let text = error.to_string();
        match error {
            ActivationError::Nobody => StanzaError::item_not_found(text),
            ActivationError::OneSide => StanzaError::not_allowed(text),
            ActivationError::TooMany => StanzaError::resource_constraint(text),
        }
    })
}

/// Section 6.3.2: both sides name the stream by this.
fn hash(sid: &str, requester: &Jid, target: &Jid) -> String {
    hex::encode(Sha1::digest(format!("{sid}{requester}{target}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_named_by_a_hash() {
        let jid = |text: &str| text.parse::<Jid>().unwrap();
        let (requester, target) = (jid("requester@example.com/foo"), jid("target@example.org/bar"));
        let name = hash("vxf9n471bn46", &requester, &target);
        assert_eq!(name, "98b8d688d0f5d895fd41c5e7309a2e9e33ba32ff");
        assert_ne!(name, hash("vxf9n471bn46", &target, &requester));
    }
}
