//! People without an account, who come by a link.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use wello_store::Timestamp;
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};

use crate::Kernel;
use crate::accounts::GuestGrant;

/// A link by which people without an account get into a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestLink {
    /// Names it to those who may take it back.
    pub id: String,
    /// Who made it.
    pub by: String,
    pub expires: Timestamp,
    /// Who comes by it counts as a member of the room.
    pub member: bool,
}

/// What somebody wants of a link.
#[derive(Clone, Copy, Debug, Default)]
pub struct GuestLinkWish {
    pub hours: Option<u32>,
    pub member: bool,
}

/// A link that was made just now: later nobody is told its token.
#[derive(Clone, Debug)]
pub struct NewGuestLink {
    pub link: GuestLink,
    /// The page that it leads to.
    pub url: String,
}

/// Rooms, for people without an account.
#[async_trait]
pub trait GuestDoor: Send + Sync {
    async fn make_link(
        &self,
        kernel: &Arc<Kernel>,
        by: &Jid,
        room: &BareJid,
        wish: GuestLinkWish,
    ) -> Result<NewGuestLink, StanzaError>;

    /// The links that hold, for those who may make some.
    async fn links(
        &self,
        kernel: &Arc<Kernel>,
        who: &Jid,
        room: &BareJid,
    ) -> Result<Vec<GuestLink>, StanzaError>;

    /// Takes a link back, and puts out who came by it.
    async fn revoke_link(
        &self,
        kernel: &Arc<Kernel>,
        who: &Jid,
        room: &BareJid,
        id: &str,
    ) -> Result<(), StanzaError>;

    /// Makes whoever has the token of a link a guest of the room.
    async fn receive(
        &self,
        kernel: &Arc<Kernel>,
        room: &BareJid,
        token: &str,
        address: IpAddr,
    ) -> Result<Reception, StanzaError>;
}

/// What a new guest has to know.
#[derive(Clone, Debug)]
pub struct Reception {
    pub grant: GuestGrant,
    /// What the room is called.
    pub name: String,
    pub focus: Option<BareJid>,
}
