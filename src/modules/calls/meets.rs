//! Calls without a room that clients make for themselves: `tigase:meet:0` (Tigase Meet Protocol,
//! section 3.1). They are forgotten with the server, and when nobody has used them for a while.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use wello_kernel::Kernel;
use wello_kernel::clock::random_bytes;
use wello_kernel::sessions::Session;
use wello_sfu::api::Media;
use wello_store::Timestamp;
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, FullJid, Jid};
use wello_wire::ns;
use wello_wire::xml::Element;

use super::Calls;
use super::conference::{Guest, Parting};

/// What is told in service discovery (section 1).
pub const FEATURES: [&str; 3] =
    [ns::MEET, "tigase:meet:0:media:audio", "tigase:meet:0:media:video"];

const BOTH: [Media; 2] = [Media::Audio, Media::Video];
/// Calls of one account, and of all.
const MAX_OWN: usize = 20;
const MAX_ALL: usize = 10_000;
/// Who may join one.
const MAX_ALLOWED: usize = 500;
/// How long one is kept that nobody is in.
const KEPT: Duration = Duration::from_secs(3600);

#[derive(Default)]
pub struct Meets(Mutex<HashMap<BareJid, Meet>>);

struct Meet {
    owner: BareJid,
    allowed: BTreeSet<BareJid>,
    media: Vec<Media>,
    /// When somebody was seen in it, or when it was made.
    used: Timestamp,
}

impl Meet {
    fn allows(&self, who: &FullJid) -> bool {
        let who = who.bare();
        who == self.owner || self.allowed.contains(&who)
    }

    fn allow(&mut self, who: Vec<BareJid>) -> Result<(), StanzaError> {
        let allowed: BTreeSet<BareJid> = self.allowed.iter().cloned().chain(who).collect();
        if allowed.len() > MAX_ALLOWED {
            return Err(StanzaError::not_acceptable("too many participants"));
        }
        self.allowed = allowed;
        Ok(())
    }
}

impl Meets {
    pub fn has(&self, call: &BareJid) -> bool {
        self.0.lock().contains_key(call)
    }

    /// What may be sent in a conference: both, unless whoever has made it wants it otherwise.
    pub fn media(&self, call: &BareJid) -> Vec<Media> {
        self.0.lock().get(call).map_or(BOTH.to_vec(), |meet| meet.media.clone())
    }

    /// There are no nicknames: who is in the call is known by the own address.
    pub fn admit(&self, call: &BareJid, who: &FullJid) -> Option<Guest> {
        let meets = self.0.lock();
        let meet = meets.get(call).filter(|meet| meet.allows(who))?;
        Some(Guest {
            jid: who.clone(),
            occupant: call.with_resource(who.bare_str()).ok()?,
            voice: true,
            moderates: meet.owner.as_str() == who.bare_str(),
            sees_addresses: true,
            shows_call: false,
            speaks_movim: false,
        })
    }

    fn create(&self, domain: &str, meet: Meet) -> Result<BareJid, StanzaError> {
        let mut meets = self.0.lock();
        let own = meets.values().filter(|other| other.owner == meet.owner).count();
        if own >= MAX_OWN || meets.len() >= MAX_ALL {
            return Err(StanzaError::resource_constraint("too many calls"));
        }
        let name = format!("{:032x}", u128::from_be_bytes(random_bytes::<16>()));
        let call = BareJid::from_parts(Some(&name), domain)?;
        meets.insert(call.clone(), meet);
        Ok(call)
    }

    fn change(
        &self,
        call: &BareJid,
        who: &Jid,
        change: impl FnOnce(&mut Meet) -> Result<(), StanzaError>,
    ) -> Result<(), StanzaError> {
        let mut meets = self.0.lock();
        change(owned(&mut meets, call, who)?)
    }

    fn destroy(&self, call: &BareJid, who: &Jid) -> Result<(), StanzaError> {
        let mut meets = self.0.lock();
        owned(&mut meets, call, who)?;
        meets.remove(call);
        Ok(())
    }

    /// Forgets what nobody has used for long; `is_used` tells of conferences.
    pub fn tidy(&self, now: Timestamp, is_used: impl Fn(&BareJid) -> bool) {
        self.0.lock().retain(|call, meet| {
            if is_used(call) {
                meet.used = now;
            }
            now.saturating_sub(KEPT) <= meet.used
        });
    }
}

fn owned<'a>(
    meets: &'a mut HashMap<BareJid, Meet>,
    call: &BareJid,
    who: &Jid,
) -> Result<&'a mut Meet, StanzaError> {
    let meet = meets.get_mut(call).ok_or_else(|| StanzaError::item_not_found("no such call"))?;
    match meet.owner.as_str() == who.bare_str() {
        true => Ok(meet),
        false => Err(StanzaError::forbidden("only for who has made the call")),
    }
}

impl Calls {
    /// Makes a call: a request to the service.
    pub(super) fn create_meet(
        &self,
        kernel: &Kernel,
        domain: &str,
        session: Option<&Arc<Session>>,
        payload: &Element,
    ) -> Result<Element, StanzaError> {
        let session = session.ok_or_else(|| StanzaError::forbidden("only for own users"))?;
        let mut meet = Meet {
            owner: session.jid.bare(),
            allowed: BTreeSet::new(),
            media: media(payload)?,
            used: kernel.clock.now(),
        };
        meet.allow(participants(payload)?)?;
        let call = self.meets.create(domain, meet)?;
        let id = call.local().unwrap_or_default();
        Ok(Element::new("create", ns::MEET).with_attr("id", id))
    }

    /// Requests to a call.
    pub(super) async fn manage_meet(
        &self,
        kernel: &Arc<Kernel>,
        call: &BareJid,
        who: &Jid,
        payload: &Element,
    ) -> Result<(), StanzaError> {
        match payload.name() {
            "allow" => {
                let allowed = participants(payload)?;
                self.meets.change(call, who, |meet| meet.allow(allowed))
            }
            "deny" => {
                let denied = participants(payload)?;
                self.meets.change(call, who, |meet| {
                    meet.allowed.retain(|known| !denied.contains(known));
                    Ok(())
                })?;
                self.review(kernel, call, |_| Parting::Removed).await;
                Ok(())
            }
            "destroy" => {
                self.meets.destroy(call, who)?;
                self.review(kernel, call, |_| Parting::Destroyed).await;
                Ok(())
            }
            _ => Err(StanzaError::service_unavailable("")),
        }
    }
}

fn participants(payload: &Element) -> Result<Vec<BareJid>, StanzaError> {
    let participants = payload.children().filter(|child| child.is("participant", ns::MEET));
    let jid = |participant: &Element| {
        let jid = participant.text().trim().parse::<BareJid>();
        jid.map_err(|_| StanzaError::jid_malformed("a participant is a bare address"))
    };
    participants.map(jid).collect()
}

fn media(create: &Element) -> Result<Vec<Media>, StanzaError> {
    let named = create.children().filter(|child| child.is("media", ns::MEET));
    let kind = |media: &Element| match media.attr("type") {
        Some("audio") => Ok(Media::Audio),
        Some("video") => Ok(Media::Video),
        _ => Err(StanzaError::bad_request("media are audio and video")),
    };
    let media = named.map(kind).collect::<Result<Vec<Media>, _>>()?;
    Ok(if media.is_empty() { BOTH.to_vec() } else { media })
}
