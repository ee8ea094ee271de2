//! What a device is woken for.

use wello_wire::ns;
use wello_wire::xml::Element;

/// The later ones are louder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wake {
    /// The app is to fetch something; whether the user is told is the app's decision.
    Quiet,
    /// Somebody asks to see the user's presence.
    Request,
    Message,
    /// A recording of a voice.
    Clip,
    Call,
}

/// What other servers mark notifications with, too.
const PRIORITY: &str = "tigase:push:priority:0";

impl Wake {
    const ALL: [Wake; 5] = [Wake::Quiet, Wake::Request, Wake::Message, Wake::Clip, Wake::Call];

    /// The user is to notice it at once.
    pub(super) fn is_loud(self) -> bool {
        self != Wake::Quiet
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Wake::Quiet => "quiet",
            Wake::Request => "request",
            Wake::Message => "message",
            Wake::Clip => "clip",
            Wake::Call => "call",
        }
    }

    /// The children of a notification that say it.
    pub(super) fn to_children(self) -> [Element; 2] {
        let priority = if self.is_loud() { "high" } else { "low" };
        [
            Element::new("priority", PRIORITY).with_text(priority),
            Element::new("wake", ns::WAKE).with_attr("kind", self.as_str()),
        ]
    }

    /// Of a notification from anywhere: whoever says nothing means a message.
    pub(super) fn of(notification: &Element) -> Wake {
        let kind = notification.child("wake", ns::WAKE).and_then(|wake| wake.attr("kind"));
        if let Some(wake) = Wake::ALL.into_iter().find(|wake| Some(wake.as_str()) == kind) {
            return wake;
        }
        let priority = notification.child("priority", PRIORITY).map(Element::text);
        match priority.as_deref().map(str::trim) {
            Some("low" | "normal") => Wake::Quiet,
            _ => Wake::Message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notifications_are_read_back() {
        let empty = || Element::new("notification", ns::PUSH);
        for wake in Wake::ALL {
            assert_eq!(Wake::of(&empty().with_children(wake.to_children())), wake);
        }
        assert_eq!(Wake::of(&empty()), Wake::Message);
        let schema = include_str!("../../../schemas/push-0.xsd");
        assert_eq!(schema.matches("<xs:enumeration").count(), Wake::ALL.len());
        for wake in Wake::ALL {
            assert!(schema.contains(&format!("<xs:enumeration value='{}'/>", wake.as_str())));
        }
        let of_others = |text: &str| {
            Wake::of(&empty().with_child(Element::new("priority", PRIORITY).with_text(text)))
        };
        assert_eq!(of_others("high"), Wake::Message);
        assert_eq!(of_others("low"), Wake::Quiet);
    }
}
