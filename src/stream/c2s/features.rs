//! Stream features, by what has been reached.

use wello_wire::ns;
use wello_wire::xml::{Element, Limits};

use super::C2s;
use super::negotiation::{Negotiation, Stage};
use super::settings::RegistrationOffer;
use crate::nonza::{Authentication, BindFeature, ChannelBindingTypes, FastFeature, Mechanisms};
use crate::sasl::{Mechanism, Offer};

impl C2s {
    /// Sends the features of a stream that has just been opened.
    pub(super) fn offer(&mut self, mut negotiation: Negotiation) {
        match negotiation.stage {
            Stage::Authenticated(_) => self.offer_session(),
            _ if !self.channel.secure => {
                let starttls =
                    Element::new("starttls", ns::TLS).with_child(Element::new("required", ns::TLS));
                self.send_features(vec![starttls], self.settings.limits_before_login);
            }
            _ => {
                let features = self.login_features(&mut negotiation);
                self.send_features(features, self.settings.limits_before_login);
            }
        }
        self.wait(negotiation);
    }

    /// What a client without a resource can do next.
    pub(super) fn offer_session(&mut self) {
        // RFC 3921, section 3: clients of before RFC 6121 ask for a session, which is nothing.
        let session =
            Element::new("session", ns::SESSION).with_child(Element::new("optional", ns::SESSION));
        let mut features = vec![Element::new("bind", ns::BIND), session];
        features.push(Element::new("sm", ns::SM));
        features.extend(self.account_features());
        self.send_features(features, self.settings.limits);
    }

    /// What is left to a client whose resource was bound together with its login.
    pub(super) fn offer_rest(&mut self, managed: bool) {
        let mut features = Vec::new();
        if !managed {
            features.push(Element::new("sm", ns::SM));
        }
        features.extend(self.account_features());
        self.send_features(features, self.settings.limits);
    }

    fn send_features(&mut self, features: Vec<Element>, limits: Limits) {
        let element = Element::new("features", ns::STREAM)
            .with_children(features)
            .with_child(self.limits_feature(limits));
        self.output.element(&element);
    }

    fn login_features(&self, negotiation: &mut Negotiation) -> Vec<Element> {
        let Some(host) = self.settings.hosts.get(negotiation.host.domain()) else {
            return Vec::new();
        };
        // XEP-0178, section 2: EXTERNAL is for clients that have shown who they are.
        let usable = |one: &Mechanism| *one != Mechanism::External || self.channel.certificate;
        let enabled: Vec<_> = host.mechanisms.iter().copied().filter(usable).collect();
        let offer = Offer::new(&enabled, &self.channel.bindings);
        let mut features = Vec::new();
        features.extend(Mechanisms::offer(&offer).map(|feature| feature.write()));
        let authentication = Authentication::offer(&offer, self.inline_features(&offer), true);
        features.extend(authentication.map(|feature| feature.write()));
        features.extend(ChannelBindingTypes::offer(&offer).map(|feature| feature.write()));
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
        negotiation.offer = offer;
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

    /// What an account can rely on: client state, roster versions and pre-approved subscriptions
    /// (RFC 6121, sections 2.6.1 and 3.4), and what the host adds.
    fn account_features(&self) -> Vec<Element> {
        let own = [
            Element::new("csi", ns::CSI),
            Element::new("ver", ns::ROSTER_VERSIONING),
            Element::new("sub", ns::SUBSCRIPTION_PRE_APPROVAL),
        ];
        let host = self.host.as_ref().and_then(|host| self.settings.hosts.get(host.domain()));
        let further = host.into_iter().flat_map(|host| host.features.iter().cloned());
        own.into_iter().chain(further).collect()
    }
}
