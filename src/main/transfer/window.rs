//! What an archive has around the message that comes: an archive itself may be larger than memory.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};

use wello_store::{Anchor, Archive, ArchiveId, ArchiveIds, Query, QueryError, Timestamp};

/// A message's id says when it was archived, which is when it came, but for so many microseconds.
const SLACK: i64 = 300 * 1_000_000;
/// Messages read at once.
const PAGE: u32 = 500;

pub(super) struct Window {
    /// Makes ids that ascend, for messages that come in the order of time.
    ids: ArchiveIds,
    newest: i64,
    /// All messages that were archived between these are known here.
    from: i64,
    until: i64,
    /// Where reading goes on.
    anchor: Anchor,
    /// By when they came, and a hash of what they say.
    messages: BTreeSet<(i64, u64)>,
    taken: BTreeSet<ArchiveId>,
    hasher: RandomState,
}

impl Window {
    /// `ids` makes ids of the past.
    pub(super) fn new(ids: ArchiveIds) -> Window {
        Window {
            ids,
            newest: 0,
            from: 0,
            until: 0,
            anchor: Anchor::First,
            messages: BTreeSet::new(),
            taken: BTreeSet::new(),
            hasher: RandomState::new(),
        }
    }

    /// Moves to the time of a message; then says whether it is new.
    pub(super) async fn admit(
        &mut self,
        archive: &dyn Archive,
        owner: &str,
        time: Timestamp,
        stanza: &[u8],
    ) -> Result<bool, QueryError> {
        let at = time.as_micros();
        if self.until == 0 || at - SLACK < self.from {
            self.restart(at - SLACK);
        }
        while self.until < at + SLACK {
            self.read(archive, owner).await?;
        }
        // Not with each message: those that come a little late must not begin anew.
        if self.from < at - 4 * SLACK {
            self.forget(at - 2 * SLACK);
        }
        let hash = self.hasher.hash_one(stanza);
        Ok(self.messages.insert((at, hash)))
    }

    /// The id that the message had if it came from a Wello, so that clients find their place
    /// again; else a new one.
    pub(super) fn id(&mut self, time: Timestamp, own: Option<ArchiveId>) -> ArchiveId {
        let near = |id: &ArchiveId| id.time().as_micros().abs_diff(time.as_micros()) < SLACK as u64;
        let own = own.filter(|id| near(id) && !self.taken.contains(id));
        let id = own.unwrap_or_else(|| self.next(time));
        self.newest = id.time().as_micros();
        // Ids of the next ones come after it.
        self.ids.next(id.time());
        self.taken.insert(id);
        id
    }

    fn next(&mut self, time: Timestamp) -> ArchiveId {
        // Out of order: after the newest one its id would say nothing of its time.
        if time.as_micros() + SLACK < self.newest {
            self.ids = self.ids.of_the_past();
        }
        loop {
            let id = self.ids.next(time);
            if !self.taken.contains(&id) {
                return id;
            }
        }
    }

    fn restart(&mut self, from: i64) {
        self.messages.clear();
        self.taken.clear();
        self.anchor = Anchor::First;
        (self.from, self.until) = (from, from);
    }

    async fn read(&mut self, archive: &dyn Archive, owner: &str) -> Result<(), QueryError> {
        let query = Query {
            owner: owner.to_owned(),
            start: Some(Timestamp::from_micros(self.from.max(0))),
            anchor: self.anchor,
            max: PAGE,
            ..Query::default()
        };
        let page = archive.query(&query).await?;
        for message in &page.messages {
            let hash = self.hasher.hash_one(&message.stanza[..]);
            self.messages.insert((message.time.as_micros(), hash));
            self.taken.insert(message.id);
        }
        match page.last() {
            Some(last) if !page.complete => {
                self.anchor = Anchor::After(last);
                self.until = last.time().as_micros();
            }
            // What comes now is from here, and noted here.
            _ => self.until = i64::MAX,
        }
        Ok(())
    }

    fn forget(&mut self, before: i64) {
        self.from = before;
        self.messages = self.messages.split_off(&(before, 0));
        self.taken = self.taken.split_off(&ArchiveId::at(Timestamp::from_micros(before.max(0))));
    }
}

#[cfg(test)]
mod tests {
    use wello_store::{Entry, Options, Owner, Store};

    use super::*;

    const OWNER: &str = "a@b";

    struct Fixture {
        store: Store,
        _folder: tempfile::TempDir,
    }

    impl Fixture {
        async fn new() -> Fixture {
            let folder = tempfile::tempdir().unwrap();
            let options = Options::default();
            let store = Store::open("sqlite:x.db", folder.path(), &options).await.unwrap();
            Fixture { store, _folder: folder }
        }

        fn window(&self) -> Window {
            Window::new(self.store.archive_ids.of_the_past())
        }

        /// Takes a message as an import does; its id if it is new.
        async fn take(&self, window: &mut Window, seconds: i64, text: &str) -> Option<ArchiveId> {
            let (time, stanza) = (Timestamp::from_secs(seconds), text.as_bytes());
            let archive = &*self.store.archive;
            if !window.admit(archive, OWNER, time, stanza).await.unwrap() {
                return None;
            }
            let archive_id = window.id(time, None);
            let owner = Owner { owner: OWNER.to_owned(), archive_id, with: "c@d".to_owned() };
            let stanza = stanza.to_vec().into();
            let entry = Entry { stanza, time, owners: vec![owner], ..Entry::default() };
            archive.append(entry).await.unwrap();
            Some(archive_id)
        }
    }

    /// Days of messages, in order and out of it, several in a second.
    fn times() -> impl Iterator<Item = i64> {
        let ordered = (0..3000).map(|number| 1_000_000 + number * 30);
        ordered.chain([5_000, 2_000_000, 6_000, 1_000_000, 1_000_001, 1_000_001])
    }

    #[tokio::test]
    async fn nothing_comes_twice_in_whatever_order() {
        let fixture = Fixture::new().await;
        let (mut window, mut ids) = (fixture.window(), BTreeSet::new());
        for (number, time) in times().enumerate() {
            let id = fixture.take(&mut window, time, &number.to_string()).await.unwrap();
            assert!(ids.insert(id), "an id is used twice");
            assert!((id.time().as_micros() - time * 1_000_000).abs() < SLACK, "{time}");
        }
        let mut again = fixture.window();
        for (number, time) in times().enumerate() {
            assert_eq!(fixture.take(&mut again, time, &number.to_string()).await, None, "{time}");
        }
        assert!(fixture.take(&mut again, 1_000_001, "another").await.is_some());
    }

    #[tokio::test]
    async fn memory_does_not_grow_with_the_archive() {
        let fixture = Fixture::new().await;
        for _ in 0..2 {
            let mut window = fixture.window();
            for time in 0..5000 {
                fixture.take(&mut window, 1_000_000 + time * 10, "x").await;
                // Those of the slack before and after, a page ahead, and what is not forgotten each time.
                assert!(window.messages.len() < 1200, "{}", window.messages.len());
                assert!(window.taken.len() < 1200, "{}", window.taken.len());
            }
        }
    }

    #[tokio::test]
    async fn an_id_stays_where_it_says_the_time() {
        let fixture = Fixture::new().await;
        let mut window = fixture.window();
        let time = Timestamp::from_secs(1_000_000);
        let own = ArchiveId::at(time.plus_micros(17));
        assert_eq!(window.id(time, Some(own)), own);
        assert_ne!(window.id(time, Some(own)), own, "it is taken");
        let other = ArchiveId::at(time.plus_micros(2 * SLACK));
        assert_ne!(window.id(time, Some(other)), other, "it is of another time");
    }
}
