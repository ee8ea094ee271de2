//! The lists of affiliations, with their versions (XEP-0463).

use wello_store::StoredAffiliation;
use wello_wire::jid::{BareJid, Jid};

use super::config::Whois;
use super::{Affiliation, Effects, Role, Room};

/// What an account is to a room, whether it is there or not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Affiliate {
    pub affiliation: Affiliation,
    /// The nickname that nobody else may use.
    pub nick: Option<String>,
    /// Version of the room that brought it.
    pub version: i64,
}

/// Affiliations that were taken back are told about until there are this many.
const MAX_TAKEN_BACK: usize = 500;

impl Affiliate {
    pub fn row(&self, jid: &BareJid) -> StoredAffiliation {
        StoredAffiliation {
            jid: jid.to_string(),
            affiliation: self.affiliation,
            nick: self.nick.clone(),
            version: self.version,
        }
    }
}

/// What a client that knows some version of the lists has to be told.
#[derive(Debug, PartialEq)]
pub enum Diff<'a> {
    /// It is up to date.
    Nothing,
    Since(Vec<(&'a BareJid, Affiliation)>),
    /// All there is.
    Full(Vec<(&'a BareJid, Affiliation)>),
}

impl Room {
    pub fn affiliation(&self, bare: &str) -> Affiliation {
        if let Some(pass) = self.guests.get(bare) {
            return pass.affiliation(&self.config);
        }
        self.affiliates.get(bare).map_or(Affiliation::None, |found| found.affiliation)
    }

    /// The nickname that an account has reserved.
    pub fn reserved_nick(&self, bare: &str) -> Option<&str> {
        self.affiliates.get(bare)?.nick.as_deref()
    }

    /// Whose nickname this is by reservation.
    pub fn owner_of_nick(&self, nick: &str) -> Option<&BareJid> {
        let reserved = |found: &&BareJid| self.affiliates[*found].nick.as_deref() == Some(nick);
        self.affiliates.keys().find(reserved)
    }

    pub fn affiliates(&self) -> impl Iterator<Item = (&BareJid, &Affiliate)> {
        self.affiliates.iter()
    }

    pub fn with_affiliation(
        &self,
        affiliation: Affiliation,
    ) -> impl Iterator<Item = (&BareJid, &Affiliate)> {
        self.affiliates.iter().filter(move |(_, found)| found.affiliation == affiliation)
    }

    /// Whether somebody may see the list (sections 9.5, 10.5 and 10.8).
    pub fn may_list(&self, who: &Jid, affiliation: Affiliation) -> bool {
        let standing = self.standing(who);
        if standing.affiliation >= Affiliation::Admin {
            return true;
        }
        let open = self.config.whois == Whois::Anyone
            && (standing.role.is_some() || standing.affiliation >= Affiliation::Member);
        let by_role = standing.role.is_some_and(|role| self.config.member_list.contains(&role));
        affiliation >= Affiliation::Member && (open || by_role)
    }

    /// Changes an affiliation and the reserved nickname, without telling anybody.
    pub(super) fn put_affiliation(
        &mut self,
        jid: &BareJid,
        affiliation: Affiliation,
        nick: Option<String>,
        fx: &mut Effects,
    ) {
        self.touch(fx);
        let affiliate = Affiliate { affiliation, nick, version: self.version };
        fx.affiliations.push(affiliate.row(jid));
        self.affiliations_version = self.version;
        self.affiliates.insert(jid.clone(), affiliate);
        self.forget_taken_back(fx);
    }

    fn forget_taken_back(&mut self, fx: &mut Effects) {
        let taken_back = |found: &&Affiliate| found.affiliation == Affiliation::None;
        let mut versions: Vec<i64> =
            self.affiliates.values().filter(taken_back).map(|found| found.version).collect();
        if versions.len() <= MAX_TAKEN_BACK {
            return;
        }
        versions.sort_unstable();
        let forgotten = versions[versions.len() / 2];
        self.affiliates
            .retain(|_, found| found.affiliation != Affiliation::None || found.version > forgotten);
        self.forgotten = self.forgotten.max(forgotten);
        fx.prune = Some(forgotten);
    }

    /// How many accounts have an affiliation.
    pub(super) fn affiliated(&self) -> usize {
        let has_one = |found: &&Affiliate| found.affiliation != Affiliation::None;
        self.affiliates.values().filter(has_one).count()
    }

    /// The version of the lists, as clients know it.
    pub fn mav(&self, version: i64) -> String {
        format!("{:x}-{version}", self.created)
    }

    pub(super) fn mav_now(&self) -> String {
        self.mav(self.affiliations_version)
    }

    /// What has changed since a version that a client has seen (XEP-0463, section 5.2.1).
    pub fn diff(&self, since: Option<&str>) -> Diff<'_> {
        let known = since.and_then(|since| {
            let (created, version) = since.split_once('-')?;
            let created = i64::from_str_radix(created, 16).ok()?;
            (created == self.created).then_some(version.parse::<i64>().ok()?)
        });
        let known =
            known.filter(|known| (self.forgotten..=self.affiliations_version).contains(known));
        let all = self.affiliates.iter();
        match known {
            Some(known) if known == self.affiliations_version => Diff::Nothing,
            Some(known) => {
                let newer = all.filter(|(_, found)| found.version > known);
                Diff::Since(newer.map(|(jid, found)| (jid, found.affiliation)).collect())
            }
            None => {
                let there = all.filter(|(_, found)| found.affiliation != Affiliation::None);
                Diff::Full(there.map(|(jid, found)| (jid, found.affiliation)).collect())
            }
        }
    }

    /// Whether presence of this role is told to the others.
    pub(super) fn broadcasts(&self, role: Role) -> bool {
        self.config.presence_broadcast.contains(&role)
    }
}
