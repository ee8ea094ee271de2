//! Stream features that offer authentication.

use wello_wire::ns;
use wello_wire::xml::Element;

use super::{text_element, texts};
use crate::sasl::{BindingType, Mechanism, Offer, Upgrade};

/// `<mechanisms/>` of RFC 6120, section 6.3.3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mechanisms(pub Vec<String>);

/// `<authentication/>` of XEP-0388.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authentication {
    pub mechanisms: Vec<String>,
    /// What can be asked for inline: [`BindFeature`], [`FastFeature`], stream management.
    ///
    /// [`BindFeature`]: super::BindFeature
    /// [`FastFeature`]: super::FastFeature
    pub inline: Vec<Element>,
    /// Upgrade tasks (XEP-0480).
    pub upgrades: Vec<String>,
}

/// `<sasl-channel-binding/>` of XEP-0440.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelBindingTypes(pub Vec<String>);

impl Mechanisms {
    /// `None` if there is nothing to offer.
    pub fn offer(offer: &Offer) -> Option<Mechanisms> {
        (!offer.mechanisms.is_empty()).then(|| Mechanisms(names(&offer.mechanisms)))
    }

    /// `None` if it is another element.
    pub fn read(element: &Element) -> Option<Mechanisms> {
        element
            .is("mechanisms", ns::SASL)
            .then(|| Mechanisms(texts(element, "mechanism", ns::SASL)))
    }

    pub fn write(&self) -> Element {
        let names = self.0.iter().map(|name| text_element("mechanism", ns::SASL, name));
        Element::new("mechanisms", ns::SASL).with_children(names)
    }
}

impl Authentication {
    /// `None` if there is nothing to offer: the feature must not be sent then.
    pub fn offer(offer: &Offer, inline: Vec<Element>, upgrades: bool) -> Option<Authentication> {
        let tasks = Upgrade::HASHES.into_iter().filter_map(Upgrade::task_name);
        let tasks = tasks.filter(|_| upgrades).map(str::to_owned).collect();
        let mechanisms = names(&offer.mechanisms);
        (!mechanisms.is_empty()).then_some(Authentication { mechanisms, inline, upgrades: tasks })
    }

    /// `None` if it is another element.
    pub fn read(element: &Element) -> Option<Authentication> {
        if !element.is("authentication", ns::SASL2) {
            return None;
        }
        let inline = element.child("inline", ns::SASL2).into_iter().flat_map(Element::children);
        Some(Authentication {
            mechanisms: texts(element, "mechanism", ns::SASL2),
            inline: inline.cloned().collect(),
            upgrades: texts(element, "upgrade", ns::SASL_UPGRADE),
        })
    }

    pub fn write(&self) -> Element {
        let names = self.mechanisms.iter().map(|name| text_element("mechanism", ns::SASL2, name));
        let tasks =
            self.upgrades.iter().map(|task| text_element("upgrade", ns::SASL_UPGRADE, task));
        let inline = (!self.inline.is_empty())
            .then(|| Element::new("inline", ns::SASL2).with_children(self.inline.iter().cloned()));
        Element::new("authentication", ns::SASL2)
            .with_children(names)
            .with_children(inline)
            .with_children(tasks)
    }
}

impl ChannelBindingTypes {
    /// `None` if there is nothing to offer.
    pub fn offer(offer: &Offer) -> Option<ChannelBindingTypes> {
        let names = |types: &[BindingType]| types.iter().map(|one| one.name().to_owned()).collect();
        (!offer.bindings.is_empty()).then(|| ChannelBindingTypes(names(&offer.bindings)))
    }

    /// `None` if it is another element.
    pub fn read(element: &Element) -> Option<ChannelBindingTypes> {
        if !element.is("sasl-channel-binding", ns::SASL_CHANNEL_BINDING) {
            return None;
        }
        let is_type = |child: &&Element| child.is("channel-binding", ns::SASL_CHANNEL_BINDING);
        let types = element.children().filter(is_type).filter_map(|child| child.attr("type"));
        Some(ChannelBindingTypes(types.map(str::to_owned).collect()))
    }

    pub fn write(&self) -> Element {
        let types = self.0.iter().map(|name| {
            Element::new("channel-binding", ns::SASL_CHANNEL_BINDING)
                .with_attr("type", name.as_str())
        });
        Element::new("sasl-channel-binding", ns::SASL_CHANNEL_BINDING).with_children(types)
    }
}

pub(super) fn names(mechanisms: &[Mechanism]) -> Vec<String> {
    mechanisms.iter().map(|mechanism| mechanism.name().to_owned()).collect()
}
