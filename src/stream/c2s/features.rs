//! Stream features, by what has been reached.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use wello_wire::ns;
use wello_wire::xml::{Element, Limits};

use super::C2s;
use super::negotiation::{Negotiation, Stage};
use super::settings::{HostSettings, RegistrationOffer};
use crate::framing::{Framing, Output};
use crate::nonza::{Authentication, BindFeature, ChannelBindingTypes, FastFeature, Mechanisms};
use crate::sasl::{Mechanism, Offer};

/// What a host's streams get when they have reached the same: made and written once.
#[derive(Debug, Default)]
pub struct FeatureCache(Mutex<HashMap<Kind, Arc<Features>>>);

/// Everything that the features of a host's stream depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Kind {
    framing: Framing,
    reached: Reached,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Reached {
    Connected,
    Secured { certificate: bool, exporter: bool, end_point: bool },
    LoggedIn,
    Bound { managed: bool },
}

#[derive(Debug)]
struct Features {
    offer: Arc<Offer>,
    xml: Vec<u8>,
}

impl Clone for FeatureCache {
    /// Empty, because settings are copied to be changed.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl FeatureCache {
    fn get(&self, kind: Kind, make: impl FnOnce() -> Features) -> Arc<Features> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(made.entry(kind).or_insert_with(|| Arc::new(make())))
    }
}

impl C2s {
    /// Sends the features of a stream that has just been opened.
    pub(super) fn offer(&mut self, mut negotiation: Negotiation) {
        let bindings = &self.channel.bindings;
        let reached = match negotiation.stage {
            Stage::Authenticated(_) => Reached::LoggedIn,
            _ if !self.channel.secure => Reached::Connected,
            _ => Reached::Secured {
                certificate: self.channel.certificate,
                exporter: bindings.tls_exporter.is_some(),
                end_point: bindings.tls_server_end_point.is_some(),
            },
        };
        negotiation.offer = self.send_features(reached);
        self.wait(negotiation);
    }

    /// What a client without a resource can do next.
    pub(super) fn offer_session(&mut self) {
        self.send_features(Reached::LoggedIn);
    }

    /// What is left to a client whose resource was bound together with its login.
    pub(super) fn offer_rest(&mut self, managed: bool) {
        self.send_features(Reached::Bound { managed });
    }

    fn send_features(&mut self, reached: Reached) -> Arc<Offer> {
        let settings = Arc::clone(&self.settings);
        let host = self.host.as_ref().and_then(|host| settings.hosts.get(host.domain()));
        // A header without a known host was refused.
        let Some(host) = host else { return Arc::default() };
        let kind = Kind { framing: self.output.framing(), reached };
        let features = host.written.get(kind, || self.features(host, kind));
        self.output.write(|bytes, _| bytes.extend_from_slice(&features.xml));
        Arc::clone(&features.offer)
    }

    fn features(&self, host: &HostSettings, kind: Kind) -> Features {
        let mut offer = Offer::default();
        let (limits, features) = match kind.reached {
            Reached::Connected => {
                let starttls =
                    Element::new("starttls", ns::TLS).with_child(Element::new("required", ns::TLS));
                (self.settings.limits_before_login, vec![starttls])
            }
            Reached::Secured { .. } => {
                offer = self.login_offer(host);
                (self.settings.limits_before_login, self.login_features(host, &offer))
            }
            Reached::LoggedIn => (self.settings.limits, session_features(host)),
            Reached::Bound { managed } => {
                let management = (!managed).then(|| Element::new("sm", ns::SM));
                let features = management.into_iter().chain(account_features(host)).collect();
                (self.settings.limits, features)
            }
        };
        let element = Element::new("features", ns::STREAM)
            .with_children(features)
            .with_child(self.limits_feature(limits));
        let mut output = Output::new(kind.framing);
        output.element(&element);
        Features { offer: Arc::new(offer), xml: output.take() }
    }

    fn login_offer(&self, host: &HostSettings) -> Offer {
        // XEP-0178, section 2: EXTERNAL is for clients that have shown who they are.
        let usable = |one: &Mechanism| *one != Mechanism::External || self.channel.certificate;
        let enabled: Vec<_> = host.mechanisms.iter().copied().filter(usable).collect();
        Offer::new(&enabled, &self.channel.bindings)
    }

    fn login_features(&self, host: &HostSettings, offer: &Offer) -> Vec<Element> {
        let mut features = Vec::new();
        features.extend(Mechanisms::offer(offer).map(|feature| feature.write()));
        // Nobody else could do what XEP-0480 asks for: guests, for one, have no password.
        let upgrades = offer.mechanisms.iter().any(|one| one.takes_password());
        let authentication = Authentication::offer(offer, self.inline_features(offer), upgrades);
        features.extend(authentication.map(|feature| feature.write()));
        features.extend(ChannelBindingTypes::offer(offer).map(|feature| feature.write()));
        match host.registration {
            RegistrationOffer::Closed => {}
            RegistrationOffer::Invite => {
                features.push(Element::new("register", ns::IBR_TOKEN));
            }
            RegistrationOffer::Open => {
                features.push(Element::new("register", ns::REGISTER_FEATURE));
                features.push(Element::new("register", ns::IBR_TOKEN));
            }
        }
        features
    }

    /// What can be asked for together with a login.
    fn inline_features(&self, offer: &Offer) -> Vec<Element> {
        let own = [ns::SM, ns::CSI].into_iter();
        let inline = own.chain(self.settings.bind_inline.iter().copied());
        let bind = BindFeature { inline: inline.map(str::to_owned).collect() };
        let mut features = vec![bind.write(), Element::new("sm", ns::SM)];
        features.extend(FastFeature::offer(offer).map(|feature| feature.write()));
        features
    }

    /// XEP-0478, with the limits that are in force.
    fn limits_feature(&self, limits: Limits) -> Element {
        let number =
            |name: &str, value: String| Element::new(name, ns::STREAM_LIMITS).with_text(value);
        Element::new("limits", ns::STREAM_LIMITS)
            .with_child(number("max-bytes", limits.stanza_bytes.to_string()))
            .with_child(number("idle-seconds", self.settings.idle.as_secs().to_string()))
    }
}

fn session_features(host: &HostSettings) -> Vec<Element> {
    // RFC 3921, section 3: clients of before RFC 6121 ask for a session, which is nothing.
    let session =
        Element::new("session", ns::SESSION).with_child(Element::new("optional", ns::SESSION));
    let bind = [Element::new("bind", ns::BIND), session, Element::new("sm", ns::SM)];
    bind.into_iter().chain(account_features(host)).collect()
}

/// What an account can rely on: client state, roster versions and pre-approved subscriptions
/// (RFC 6121, sections 2.6.1 and 3.4), and what the host adds.
fn account_features(host: &HostSettings) -> impl Iterator<Item = Element> {
    let own = [
        Element::new("csi", ns::CSI),
        Element::new("ver", ns::ROSTER_VERSIONING),
        Element::new("sub", ns::SUBSCRIPTION_PRE_APPROVAL),
    ];
    own.into_iter().chain(host.features.iter().cloned())
}
