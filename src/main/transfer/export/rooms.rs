//! Rooms, for which XEP-0227 has nothing: an extension of our own.

use wello_modules::rooms;
use wello_store::{DocumentKey, StoredRoom, Timestamp};

use super::{Export, PAGE};
use crate::transfer::NS_ACCOUNT;
use crate::transfer::rooms::parts_of;

impl Export<'_> {
    /// The persistent rooms of a host.
    pub(super) async fn rooms(&mut self, host: &str) -> anyhow::Result<()> {
        let domain = rooms::domain(host);
        let mut after = String::new();
        loop {
            let page = self.store.rooms.of_domain(&domain, &after, PAGE).await?;
            for room in &page {
                self.room(room).await?;
            }
            match page.last() {
                Some(last) => after.clone_from(&last.jid),
                None => return Ok(()),
            }
        }
    }

    async fn room(&mut self, listed: &StoredRoom) -> anyhow::Result<()> {
        // One that has ended meanwhile is none.
        let Some((room, affiliations)) = self.store.rooms.load(&listed.jid).await? else {
            return Ok(());
        };
        let created = Timestamp::from_micros(room.created).to_string();
        let version = room.version.to_string();
        self.open_tag(
            "room",
            &[
                ("xmlns", NS_ACCOUNT),
                ("jid", &room.jid),
                ("created", &created),
                ("version", &version),
            ],
        )?;
        for part in parts_of(self.config, &room, &affiliations) {
            self.element(&part)?;
        }
        if let Some(card) = self.store.documents.get(&room.jid, &DocumentKey::VCardTemp).await? {
            self.stored(&card)?;
        }
        self.archive(&room.jid).await?;
        self.counts.rooms += 1;
        self.raw("\n</room>")
    }
}
