//! Message processing hints (XEP-0334).

use crate::{ns, xml::Element};

/// The hints of one message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hints {
    pub no_copy: bool,
    pub no_permanent_store: bool,
    pub no_store: bool,
    pub store: bool,
}

impl Hints {
    #[must_use]
    pub fn of(message: &Element) -> Self {
        let mut hints = Self::default();
        for hint in message.children().filter(|c| c.ns() == ns::HINTS) {
            match hint.name() {
                "no-copy" => hints.no_copy = true,
                "no-permanent-store" => hints.no_permanent_store = true,
                "no-store" => hints.no_store = true,
                "store" => hints.store = true,
                _ => {}
            }
        }
        hints
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::dom::el;

    #[test]
    fn of_a_message() {
        let hints = |children: &str| {
            Hints::of(&el(&format!("<message xmlns='jabber:client'>{children}</message>")))
        };
        let none = Hints::default();
        assert_eq!(hints("<body/><store/>"), none);
        assert_eq!(hints("<store xmlns='urn:xmpp:hints'/>"), Hints { store: true, ..none });
        assert_eq!(
            hints(
                "<no-store xmlns='urn:xmpp:hints'/><no-copy xmlns='urn:xmpp:hints'/><new xmlns='urn:xmpp:hints'/>"
            ),
            Hints { no_store: true, no_copy: true, ..none }
        );
        assert_eq!(
            hints("<no-permanent-store xmlns='urn:xmpp:hints'/>"),
            Hints { no_permanent_store: true, ..none }
        );
    }
}
