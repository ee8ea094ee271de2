//! Which strangers each account has turned to within a day, and whether it may turn to one more.

use std::collections::HashMap;
use std::time::Duration;

use thiserror::Error;
use wello_kernel::accounts::keep_heaviest;
use wello_store::Timestamp;

/// What one account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    pub(super) per_hour: usize,
    pub(super) per_day: usize,
    pub(super) domains_per_day: usize,
}

/// Why an account may not turn to one more stranger now.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(super) enum Exceeded {
    #[error("you have written to many strangers within an hour, try again later")]
    Hour,
    #[error("you have written to many strangers within a day, try again tomorrow")]
    Day,
    #[error("you have written to strangers at many servers within a day, try again tomorrow")]
    Domains,
}

/// A stranger and its domain, by their hashes: whoever spams names long ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) address: u64,
    /// `None` for one of our own hosts.
    pub(super) domain: Option<u64>,
}

#[derive(Default)]
pub(super) struct Tally {
    accounts: HashMap<Box<str>, Vec<Turn>>,
}

/// An account turned to a stranger.
struct Turn {
    peer: Peer,
    at: Timestamp,
}

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Accounts before those that turned to nobody for a day are swept out.
const MAX_ACCOUNTS: usize = 50_000;

impl Tally {
    /// Whether the account has turned to the peer within a day.
    pub(super) fn has(&self, account: &str, peer: Peer, now: Timestamp) -> bool {
        let mut turns = self.accounts.get(account).into_iter().flatten();
        turns.any(|turn| turn.peer == peer && now.since(turn.at) < DAY)
    }

    /// Notes that the account turns to one more stranger, if it may.
    pub(super) fn admit(
        &mut self,
        account: &str,
        peer: Peer,
        allowance: Allowance,
        now: Timestamp,
    ) -> Result<(), Exceeded> {
        self.sweep(now);
        let turns = self.accounts.entry(account.into()).or_default();
        turns.retain(|turn| now.since(turn.at) < DAY);
        if turns.iter().any(|turn| turn.peer == peer) {
            return Ok(());
        }
        judge(turns, peer, allowance, now)?;
        turns.push(Turn { peer, at: now });
        Ok(())
    }

    fn sweep(&mut self, now: Timestamp) {
        if self.accounts.len() < MAX_ACCOUNTS {
            return;
        }
        let is_recent = |turn: &Turn| now.since(turn.at) < DAY;
        self.accounts.retain(|_, turns| turns.last().is_some_and(is_recent));
        // With as many who are busy, those that matter are the busiest.
        keep_heaviest(&mut self.accounts, MAX_ACCOUNTS / 2, Vec::len);
    }
}

fn judge(turns: &[Turn], peer: Peer, allowance: Allowance, now: Timestamp) -> Result<(), Exceeded> {
    let within_hour = turns.iter().filter(|turn| now.since(turn.at) < HOUR).count();
    if within_hour >= allowance.per_hour {
        return Err(Exceeded::Hour);
    }
    if turns.len() >= allowance.per_day {
        return Err(Exceeded::Day);
    }
    let mut domains: Vec<u64> = turns.iter().filter_map(|turn| turn.peer.domain).collect();
    domains.sort_unstable();
    domains.dedup();
    match peer.domain {
        Some(domain)
            if domains.len() >= allowance.domains_per_day && !domains.contains(&domain) =>
        {
            Err(Exceeded::Domains)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWANCE: Allowance = Allowance { per_hour: 2, per_day: 4, domains_per_day: 3 };

    fn peer(address: u64) -> Peer {
        Peer { address, domain: Some(1) }
    }

    fn hour(hours: i64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + hours * 3600)
    }

    #[test]
    fn strangers_are_counted_by_the_hour_and_by_the_day() {
        let mut tally = Tally::default();
        let mut admit = |address, hours| tally.admit("a@b", peer(address), ALLOWANCE, hour(hours));
        assert_eq!(admit(1, 0), Ok(()));
        assert_eq!(admit(2, 0), Ok(()));
        assert_eq!(admit(1, 0), Ok(()), "the same one again");
        assert_eq!(admit(3, 0), Err(Exceeded::Hour));
        assert_eq!(admit(3, 1), Ok(()));
        assert_eq!(admit(4, 2), Ok(()));
        assert_eq!(admit(5, 4), Err(Exceeded::Day));
        assert_eq!(admit(5, 24), Ok(()), "two of the first hour are forgotten");
        assert_eq!(tally.admit("c@b", peer(9), ALLOWANCE, hour(24)), Ok(()), "another account");
    }

    #[test]
    fn so_are_the_servers_that_they_are_at() {
        let mut tally = Tally::default();
        let allowance = Allowance { domains_per_day: 1, ..ALLOWANCE };
        let mut admit = |address, domain, hours| {
            tally.admit("a@b", Peer { address, domain }, allowance, hour(hours))
        };
        assert_eq!(admit(1, Some(1), 0), Ok(()));
        assert_eq!(admit(2, Some(2), 0), Err(Exceeded::Domains));
        assert_eq!(admit(3, Some(1), 0), Ok(()));
        assert_eq!(admit(4, None, 1), Ok(()), "one of our own");
    }

    #[test]
    fn who_was_refused_is_not_counted() {
        let mut tally = Tally::default();
        let none = Allowance { per_hour: 0, ..ALLOWANCE };
        assert_eq!(tally.admit("a@b", peer(1), none, hour(0)), Err(Exceeded::Hour));
        assert!(!tally.has("a@b", peer(1), hour(0)));
        tally.admit("a@b", peer(1), ALLOWANCE, hour(0)).unwrap();
        assert!(tally.has("a@b", peer(1), hour(23)));
        assert!(!tally.has("a@b", peer(1), hour(24)));
    }

    #[test]
    fn a_flood_of_accounts_hides_no_spammer() {
        let mut tally = Tally::default();
        let wide = Allowance { per_hour: 9, ..ALLOWANCE };
        for address in 0..3 {
            tally.admit("spam@b", peer(address), wide, hour(0)).unwrap();
        }
        for number in 0..MAX_ACCOUNTS + 10 {
            tally.admit(&format!("{number}@b"), peer(1), ALLOWANCE, hour(0)).unwrap();
        }
        assert!(tally.accounts.len() < MAX_ACCOUNTS);
        assert!(tally.has("spam@b", peer(2), hour(0)));
    }
}
