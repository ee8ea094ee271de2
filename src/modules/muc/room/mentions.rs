//! Mentions of members who are not there (XEP-0452), by reference (XEP-0372) or by the id of an
//! occupant (XEP-0513).

use std::collections::BTreeSet;

use wello_store::Timestamp;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::delay::Delay;
use wello_wire::payload::forward::Forwarded;
use wello_wire::stanza::{MessageType, Stanza};
use wello_wire::xml::Element;

use super::{Affiliation, Effects, Room};

pub const MENTION_NOTIFICATIONS: &str = "urn:xmpp:mmn:0";
const REFERENCE: &str = "urn:xmpp:reference:0";

/// Mentions in one message that are looked at.
const MAX_MENTIONS: usize = 20;

impl Room {
    pub(super) fn forward_mentions(&self, said: &Stanza, now: Timestamp, fx: &mut Effects) {
        if !self.config.forward_mentions {
            return;
        }
        for account in self.mentioned(said) {
            let delay = Delay { from: None, ..Delay::by(now, self.jid.clone()) };
            let mut stanza = said.clone();
            stanza.to = Some(self.jid.clone().into());
            let forwarded = Forwarded { delay: Some(delay), stanza: stanza.to_element() };
            let mentions =
                Element::new("mentions", MENTION_NOTIFICATIONS).with_child(forwarded.to_element());
            let mut notice = Stanza::message(MessageType::Normal)
                .with_from(self.jid.clone())
                .with_to(account)
                .with_child(mentions);
            notice.type_ = None;
            fx.out.push(notice);
        }
    }

    /// Members that a message names and that are not here.
    pub fn mentioned(&self, said: &Stanza) -> BTreeSet<BareJid> {
        let found = said.children().filter_map(|child| match (child.name(), child.ns()) {
            ("reference", REFERENCE) if child.attr("type") == Some("mention") => {
                self.named_by(child.attr("uri")?)
            }
            ("mention", ns::MENTIONS) if child.attr("mentions").is_none() => {
                self.member_with_id(child.attr("occupantid")?)
            }
            _ => None,
        });
        let found = found.take(MAX_MENTIONS).filter(|account| {
            self.affiliation(account.as_str()) >= Affiliation::Member
                && self.occupant_of_account(account).is_none()
        });
        found.collect()
    }

    /// Whom `xmpp:account@host` or `xmpp:room@service/nick` means.
    fn named_by(&self, uri: &str) -> Option<BareJid> {
        let jid: Jid = uri.strip_prefix("xmpp:")?.split('?').next()?.parse().ok()?;
        match jid.bare_str() == self.jid.as_str() {
            true => self.owner_of_nick(jid.resource()?).cloned(),
            false => Some(jid.bare()),
        }
    }

    fn member_with_id(&self, id: &str) -> Option<BareJid> {
        let members =
            self.affiliates.iter().filter(|(_, one)| one.affiliation >= Affiliation::Member);
        members.map(|(jid, _)| jid).find(|jid| self.occupant_id(jid) == id).cloned()
    }
}
