//! What contacts elsewhere last said of their presence, bounded in bytes.

use std::collections::{HashMap, HashSet};

use wello_wire::jid::{BareJid, Jid};
use wello_wire::stanza::Stanza;

#[derive(Default)]
pub(super) struct Contacts {
    /// By the host whose accounts they told, without the account.
    known: HashMap<(String, Jid), Stanza>,
    bytes: usize,
    /// Somebody was not remembered, for want of room: whoever is unknown may be there.
    passed_over: bool,
}

/// Those above it are told of as often as their presence comes, and not to components that connect later.
const MAX_BYTES: usize = 32 * 1024 * 1024;

impl Contacts {
    /// Section 8, rule 2: whether this is something else than what was known before, whoever was told it.
    pub(super) fn is_news(
        &mut self,
        host: &str,
        from: &Jid,
        presence: &Stanza,
        available: bool,
    ) -> bool {
        let contact = (host.to_owned(), from.clone());
        if !available {
            return self.forget(&contact) || self.passed_over;
        }
        let mut seen = presence.clone();
        seen.to = None;
        let is_known = |known: &Stanza| known.to_bytes() == seen.to_bytes();
        if self.known.get(&contact).is_some_and(is_known) {
            return false;
        }
        self.forget(&contact);
        let bytes = weight(&contact, &seen);
        if self.bytes + bytes <= MAX_BYTES {
            self.bytes += bytes;
            self.known.insert(contact, seen);
        } else {
            self.passed_over = true;
        }
        true
    }

    fn forget(&mut self, contact: &(String, Jid)) -> bool {
        let Some(known) = self.known.remove(contact) else { return false };
        self.bytes -= weight(contact, &known);
        true
    }

    /// Who is there of the contacts of these hosts.
    pub(super) fn present<'a>(
        &'a self,
        is_managed: impl Fn(&str) -> bool + 'a,
    ) -> impl Iterator<Item = &'a Stanza> {
        let managed = self.known.iter().filter(move |((host, _), _)| is_managed(host));
        managed.map(|(_, presence)| presence)
    }

    /// The contacts of a host that have a device which is there.
    pub(super) fn of_host(&self, host: &str) -> HashSet<BareJid> {
        let of_host = self.known.keys().filter(|(told, _)| told == host);
        of_host.map(|(_, contact)| contact.bare()).collect()
    }
}

fn weight((host, contact): &(String, Jid), presence: &Stanza) -> usize {
    host.len() + contact.as_str().len() + presence.weight()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presence(from: &str, to: &str, status: &str) -> Stanza {
        let text = format!(
            "<presence xmlns='jabber:client' from='{from}' to='{to}'><status>{status}</status>\
             </presence>"
        );
        Stanza::from_element(text.parse().unwrap()).unwrap()
    }

    fn come(contacts: &mut Contacts, from: &str, to: &str, status: &str) -> bool {
        contacts.is_news("b", &from.parse().unwrap(), &presence(from, to, status), true)
    }

    fn go(contacts: &mut Contacts, from: &str) -> bool {
        contacts.is_news("b", &from.parse().unwrap(), &presence(from, "a@b", ""), false)
    }

    #[test]
    fn a_presence_is_news_once() {
        let mut contacts = Contacts::default();
        assert!(come(&mut contacts, "c@d/e", "a@b", "away"));
        assert!(!come(&mut contacts, "c@d/e", "x@b", "away"));
        assert!(come(&mut contacts, "c@d/e", "a@b", "dnd"));
        assert!(go(&mut contacts, "c@d/e"));
        assert!(!go(&mut contacts, "c@d/e"));
        assert_eq!(contacts.bytes, 0);
    }

    #[test]
    fn no_more_is_remembered_than_the_bound_says() {
        let mut contacts = Contacts::default();
        let status = "x".repeat(200 * 1024);
        for number in 0..200 {
            assert!(come(&mut contacts, &format!("c{number}@d/e"), "a@b", &status), "{number}");
        }
        let kept = contacts.present(|_| true).count();
        assert!((155..=164).contains(&kept), "{kept}");
        assert!(contacts.bytes <= MAX_BYTES);
        for number in 0..200 {
            assert!(go(&mut contacts, &format!("c{number}@d/e")), "{number} may be there");
        }
        assert_eq!(contacts.bytes, 0);
        assert!(come(&mut contacts, "late@d/e", "a@b", ""));
        assert_eq!(contacts.present(|host| host == "b").count(), 1);
    }
}
