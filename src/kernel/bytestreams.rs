//! Connections that wait for their other half (XEP-0065). Sockets come here from where they are
//! accepted, and a client of ours says which two belong together.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use wello_wire::jid::BareJid;

/// Keys that are waited for at once.
const MAX_WAITING: usize = 1000;
/// Bytestreams of one account at once, as with other servers.
const MAX_OF_ACCOUNT: u32 = 5;

/// A connection as it is handed over.
pub struct Partner {
    pub stream: Box<dyn Stream>,
    /// Lives as long as the connection, such as what counts it.
    pub held: Box<dyn Any + Send>,
}

pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What one that waits has to do.
pub enum Turn {
    /// Carry bytes between itself and the partner that comes.
    Relay(oneshot::Receiver<Partner>, Active),
    /// Hand itself over.
    Give(oneshot::Sender<Partner>),
}

/// Both places of a bytestream are taken, or there are too many.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("no place for this connection")]
pub struct NoPlace;

/// Why two connections were not brought together.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ActivationError {
    #[error("nobody is connected for this stream")]
    Nobody,
    #[error("only one side is connected")]
    OneSide,
    #[error("too many bytestreams at once")]
    TooMany,
}

/// The connections that wait, and the bytestreams under way.
#[derive(Clone, Default)]
pub struct Bytestreams(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// By the hash of the stream; one or two.
    waiting: Mutex<HashMap<String, Vec<Waiting>>>,
    active: Mutex<HashMap<BareJid, u32>>,
    next: std::sync::atomic::AtomicU64,
}

/// Its number, and how it is told its turn.
type Waiting = (u64, oneshot::Sender<Turn>);

/// A place among those that wait; given up when it is dropped.
pub struct Place {
    pub turn: oneshot::Receiver<Turn>,
    key: String,
    number: u64,
    all: Bytestreams,
}

/// Counts a bytestream for the account that activated it.
pub struct Active {
    account: BareJid,
    all: Bytestreams,
}

impl Bytestreams {
    /// Takes a place for a connection that has named this hash.
    pub fn wait(&self, key: &str) -> Result<Place, NoPlace> {
        let mut waiting = self.0.waiting.lock();
        let is_new = !waiting.contains_key(key);
        if is_new && waiting.len() >= MAX_WAITING {
            return Err(NoPlace);
        }
        let places = waiting.entry(key.to_owned()).or_default();
        // A third one would be a stranger.
        if places.len() >= 2 {
            return Err(NoPlace);
        }
        let number = self.0.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (sender, turn) = oneshot::channel();
        places.push((number, sender));
        Ok(Place { turn, key: key.to_owned(), number, all: self.clone() })
    }

    /// Brings the two connections together that have named this hash.
    pub fn activate(&self, key: &str, account: &BareJid) -> Result<(), ActivationError> {
        let mut waiting = self.0.waiting.lock();
        match waiting.get(key).map(Vec::len) {
            None => return Err(ActivationError::Nobody),
            Some(2) => {}
            Some(_) => return Err(ActivationError::OneSide),
        }
        let active = self.begin(account).ok_or(ActivationError::TooMany)?;
        let Some(mut places) = waiting.remove(key) else { return Err(ActivationError::Nobody) };
        drop(waiting);
        let (Some((_, one)), Some((_, other))) = (places.pop(), places.pop()) else {
            return Err(ActivationError::OneSide);
        };
        let (give, partner) = oneshot::channel();
        // One that is gone meanwhile ends the other.
        let _ = one.send(Turn::Relay(partner, active));
        let _ = other.send(Turn::Give(give));
        Ok(())
    }

    fn begin(&self, account: &BareJid) -> Option<Active> {
        let mut active = self.0.active.lock();
        let count = active.entry(account.clone()).or_default();
        if *count >= MAX_OF_ACCOUNT {
            return None;
        }
        *count += 1;
        Some(Active { account: account.clone(), all: self.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.all.0.waiting.lock();
        if let Some(places) = waiting.get_mut(&self.key) {
            places.retain(|(number, _)| *number != self.number);
            if places.is_empty() {
                waiting.remove(&self.key);
            }
        }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        let mut active = self.all.0.active.lock();
        if let Some(count) = active.get_mut(&self.account) {
            *count -= 1;
            if *count == 0 {
                active.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> BareJid {
        "romeo@montague.example".parse().unwrap()
    }

    #[test]
    fn two_are_brought_together_and_no_third() {
        let all = Bytestreams::default();
        assert_eq!(all.activate("k", &account()), Err(ActivationError::Nobody));
        let mut first = all.wait("k").unwrap();
        assert_eq!(all.activate("k", &account()), Err(ActivationError::OneSide));
        let mut second = all.wait("k").unwrap();
        assert!(all.wait("k").is_err());
        all.activate("k", &account()).unwrap();
        let turns = [first.turn.try_recv().unwrap(), second.turn.try_recv().unwrap()];
        assert!(matches!(turns, [Turn::Give(_), Turn::Relay(..)]));
        assert_eq!(all.activate("k", &account()), Err(ActivationError::Nobody));
    }

    #[test]
    fn who_leaves_gives_up_its_place() {
        let all = Bytestreams::default();
        drop(all.wait("k").unwrap());
        assert!(all.0.waiting.lock().is_empty());
        let _first = all.wait("k").unwrap();
        drop(all.wait("k").unwrap());
        assert_eq!(all.activate("k", &account()), Err(ActivationError::OneSide));
    }

    #[test]
    fn an_account_has_few_at_once() {
        let all = Bytestreams::default();
        let mut turns = Vec::new();
        for number in 0..=MAX_OF_ACCOUNT {
            let key = number.to_string();
            let (mut one, mut other) = (all.wait(&key).unwrap(), all.wait(&key).unwrap());
            let expected =
                if number < MAX_OF_ACCOUNT { Ok(()) } else { Err(ActivationError::TooMany) };
            assert_eq!(all.activate(&key, &account()), expected);
            turns.extend(one.turn.try_recv().ok());
            turns.extend(other.turn.try_recv().ok());
        }
        let (_one, _other) = (all.wait("k").unwrap(), all.wait("k").unwrap());
        assert_eq!(all.activate("k", &account()), Err(ActivationError::TooMany));
        turns.clear();
        assert_eq!(all.activate("k", &account()), Ok(()));
    }

    #[test]
    fn what_is_waited_for_is_bounded() {
        let all = Bytestreams::default();
        let places: Vec<_> = (0..MAX_WAITING).map(|n| all.wait(&n.to_string()).unwrap()).collect();
        assert!(all.wait("k").is_err() && all.wait("0").is_ok());
        drop(places);
        assert!(all.wait("k").is_ok());
    }
}
