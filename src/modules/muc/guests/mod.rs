//! People without an account in rooms: the links, and who comes by them (docs/protocols/guests.md).

mod commands;

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use wello_kernel::Kernel;
use wello_kernel::accounts::{Guest, GuestError};
use wello_kernel::clock::{random_bytes, random_id};
use wello_kernel::hooks::{GuestDoor, GuestLink, GuestLinkWish, NewGuestLink, Reception};
use wello_store::Timestamp;
use wello_wire::error::StanzaError;
use wello_wire::hex;
use wello_wire::jid::{BareJid, FullJid, Jid};

use super::room::{Effects, Link, Room};
use super::watch::Parted;
use super::{LABEL, Muc};

pub(super) use commands::{commands_of, is_command};

const MICROS_PER_HOUR: i64 = 3600 * 1_000_000;

#[async_trait]
impl GuestDoor for Muc {
    async fn make_link(
        &self,
        kernel: &Arc<Kernel>,
        by: &Jid,
        room: &BareJid,
        wish: GuestLinkWish,
    ) -> Result<NewGuestLink, StanzaError> {
        let config = &kernel.config.guests;
        let hours = wish.hours.unwrap_or(config.link_hours).clamp(1, config.link_hours);
        let now = kernel.clock.now();
        let token = URL_SAFE_NO_PAD.encode(random_bytes::<32>());
        let link = Link {
            id: random_id(),
            hash: hash(&token),
            by: by.bare_str().to_owned(),
            expires: now.plus_micros(i64::from(hours) * MICROS_PER_HOUR).as_micros(),
            member: wish.member,
        };
        let url = page(kernel, room, &token)?;
        let add = |room: &mut Room, fx: &mut Effects| {
            room.check_link_maker(by, config.links)?;
            room.add_guest_link(link.clone(), now, fx)
        };
        self.run(kernel, room, None, add).await?;
        tracing::info!(%room, link = link.id, by = link.by, "guest link made");
        Ok(NewGuestLink { link: shown(&link), url })
    }

    async fn links(
        &self,
        kernel: &Arc<Kernel>,
        who: &Jid,
        room: &BareJid,
    ) -> Result<Vec<GuestLink>, StanzaError> {
        let (makers, now) = (kernel.config.guests.links, kernel.clock.now());
        self.look(kernel, room, |room| {
            room.check_link_maker(who, makers)?;
            Ok(room.guest_links(now).map(shown).collect())
        })
        .await
    }

    async fn revoke_link(
        &self,
        kernel: &Arc<Kernel>,
        who: &Jid,
        room: &BareJid,
        id: &str,
    ) -> Result<(), StanzaError> {
        let makers = kernel.config.guests.links;
        let remove = |room: &mut Room, fx: &mut Effects| {
            room.check_link_maker(who, makers)?;
            room.remove_guest_link(who, id, fx)
        };
        self.run(kernel, room, None, remove).await?;
        // Those who have not entered.
        for guest in kernel.accounts.guests.by_link(room, id) {
            kernel.end_guest(&guest);
        }
        Ok(())
    }

    async fn receive(
        &self,
        kernel: &Arc<Kernel>,
        room: &BareJid,
        token: &str,
        address: IpAddr,
    ) -> Result<Reception, StanzaError> {
        let host = host_of(kernel, room).ok_or_else(no_link)?;
        let (hash, now) = (hash(token), kernel.clock.now());
        let found = self.look(kernel, room, |room| {
            let link = room.guest_links(now).find(|link| link.hash == hash).cloned();
            Ok((link.ok_or_else(no_link)?, room.config.name.clone()))
        });
        // Whoever guesses is not told which rooms there are.
        let (link, name) = found.await.map_err(|_| no_link())?;
        let stay = i64::from(kernel.config.guests.stay_hours) * MICROS_PER_HOUR;
        let focus = self.focus(room);
        let guest = Guest {
            room: room.clone(),
            focus: focus.clone(),
            link: link.id,
            member: link.member,
            address,
            expires: Timestamp::from_micros(link.expires).min(now.plus_micros(stay)),
        };
        let grant = kernel.accounts.receive_guest(&domain_of_guests(kernel, host)?, guest);
        Ok(Reception { grant: grant.map_err(refused)?, name, focus })
    }
}

impl Muc {
    /// Whether there are guests below this host.
    pub(crate) fn takes_guests(&self, kernel: &Kernel, host: &str) -> bool {
        kernel.config.web_address(host).is_some() && domain_of_guests(kernel, host).is_ok()
    }
}

/// Guests who were put out, or whose room has ended, are guests no more.
pub(super) fn end_removed(kernel: &Kernel, parted: &[(FullJid, Parted)]) {
    let is_over = |why: &Parted| matches!(why, Parted::Removed | Parted::Destroyed);
    for (jid, _) in parted.iter().filter(|(_, why)| is_over(why)) {
        if kernel.accounts.guests.serves(jid.domain()) {
            kernel.end_guest(&jid.bare());
        }
    }
}

fn shown(link: &Link) -> GuestLink {
    GuestLink {
        id: link.id.clone(),
        by: link.by.clone(),
        expires: Timestamp::from_micros(link.expires),
        member: link.member,
    }
}

/// The page of the web client. The token stands behind the `#`, which browsers tell no server: it
/// is in no log.
fn page(kernel: &Kernel, room: &BareJid, token: &str) -> Result<String, StanzaError> {
    let base = host_of(kernel, room).and_then(|host| kernel.config.web_address(host));
    let base = base.ok_or_else(|| StanzaError::not_allowed("this server has no web page"))?;
    Ok(format!("{base}/join/{room}#{token}"))
}

/// The host that a room is below.
fn host_of<'a>(kernel: &'a Kernel, room: &BareJid) -> Option<&'a str> {
    let host = room.domain().strip_prefix(LABEL)?.strip_prefix('.')?;
    kernel.config.domains().into_iter().find(|known| *known == host)
}

fn domain_of_guests(kernel: &Kernel, host: &str) -> Result<String, StanzaError> {
    let mut domains = kernel.config.guest_domains().into_iter();
    domains.find(|domain| kernel.config.host_of(domain) == host).ok_or_else(no_link)
}

fn no_link() -> StanzaError {
    StanzaError::item_not_found("the link is not valid (any more)")
}

fn refused(error: GuestError) -> StanzaError {
    match error {
        GuestError::TooMany => StanzaError::resource_constraint(error.to_string()),
        GuestError::Unavailable => StanzaError::internal_server_error(error.to_string()),
    }
}

/// What is kept of a token: 256 random bits need no salt.
fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}
