//! Groups whose members an administrator made contacts of each other (mod_shared_roster). Here they become contacts
//! of the accounts' own, in groups of the same name.

use std::collections::{BTreeMap, BTreeSet};

use super::account::{Ask, Contact, Subscription};
use super::records::Name;
use super::terms::Term;
use crate::transfer::importer::Importer;
use crate::transfer::xep0227;

/// Members of one group. Nobody wants more contacts than this, and they would be as many for each member.
pub const MAX_MEMBERS: usize = 1000;

/// All groups, by their names and hosts.
#[derive(Default)]
pub struct SharedGroups(BTreeMap<Name, Group>);

#[derive(Default)]
struct Group {
    /// What its members see it called.
    label: Option<String>,
    /// The groups of its host whose members its own ones see.
    displayed: Vec<String>,
    /// Bare addresses.
    members: BTreeSet<String>,
    /// All accounts of the host are members.
    everybody: bool,
}

/// What a member of a group has to do with somebody.
#[derive(Default)]
struct Tie<'g> {
    /// The groups in which the account sees them.
    seen_in: BTreeSet<&'g str>,
    sees_us: bool,
}

impl SharedGroups {
    /// `options` are `[{label, …}, {displayed_groups, […]}, …]`.
    pub fn describe(&mut self, name: Name, options: &Term) {
        let options = options.list().unwrap_or_default();
        let option = |wanted: &str| {
            options.iter().find_map(|option| match option.tuple()? {
                [name, value] if name.atom() == Some(wanted) => Some(value),
                _ => None,
            })
        };
        // Versions before 21 call it name.
        let label = option("label").or_else(|| option("name")).and_then(Term::text);
        let displayed = option("displayed_groups").and_then(Term::list).unwrap_or_default();
        let group = self.0.entry(name).or_default();
        group.label = label.filter(|label| !label.is_empty()).map(str::to_owned);
        group.displayed = displayed.iter().filter_map(Term::text).map(str::to_owned).collect();
        group.everybody = option("all_users").and_then(Term::boolean) == Some(true);
    }

    pub fn add(&mut self, name: Name, member: String) {
        self.0.entry(name).or_default().members.insert(member);
    }

    /// Hosts with groups of all their accounts.
    pub fn hosts_of_everybody(&self) -> BTreeSet<String> {
        let of_all = self.0.iter().filter(|(_, group)| group.everybody);
        of_all.map(|((_, host), _)| host.clone()).collect()
    }

    /// Says who all accounts of a host are.
    pub fn admit_all(&mut self, host: &str, accounts: &[String]) {
        let of_host = self.0.iter_mut().filter(|((_, of), group)| of == host && group.everybody);
        for (_, group) in of_host {
            group.members.extend(accounts.iter().cloned());
        }
    }

    /// Leaves out what is too large to become contacts.
    pub fn limit(&mut self, importer: &mut Importer<'_>) {
        self.0.retain(|_, group| {
            let fits = group.members.len() <= MAX_MEMBERS;
            if !fits {
                importer.skip(format!("shared groups of more than {MAX_MEMBERS} members"));
            }
            fits
        });
    }

    /// Takes the contacts that the current account has by its groups.
    pub async fn import(&self, importer: &mut Importer<'_>) -> anyhow::Result<()> {
        let account = importer.jid()?;
        for contact in self.contacts_of(&account) {
            for part in contact.to_elements() {
                xep0227::part(importer, &part).await?;
            }
        }
        Ok(())
    }

    fn contacts_of(&self, account: &str) -> Vec<Contact<'_>> {
        let mut ties: BTreeMap<&str, Tie<'_>> = BTreeMap::new();
        for (seeing, label, seen) in self.displays() {
            if seeing.members.contains(account) {
                for member in &seen.members {
                    ties.entry(member).or_default().seen_in.insert(label);
                }
            }
            if seen.members.contains(account) {
                for member in &seeing.members {
                    ties.entry(member).or_default().sees_us = true;
                }
            }
        }
        ties.remove(account);
        ties.into_iter().map(|(jid, tie)| tie.to_contact(jid)).collect()
    }

    /// Each group with those that it sees, and what these are called.
    fn displays(&self) -> impl Iterator<Item = (&Group, &str, &Group)> {
        self.0.iter().flat_map(move |((_, host), seeing)| {
            seeing.displayed.iter().filter_map(move |name| {
                let ((name, _), seen) = self.0.get_key_value(&(name.clone(), host.clone()))?;
                Some((seeing, seen.label.as_deref().unwrap_or(name), seen))
            })
        })
    }
}

impl<'g> Tie<'g> {
    fn to_contact(&self, jid: &str) -> Contact<'g> {
        let subscription = match (self.seen_in.is_empty(), self.sees_us) {
            (false, true) => Subscription::Both,
            (false, false) => Subscription::To,
            (true, _) => Subscription::From,
        };
        Contact {
            jid: jid.to_owned(),
            name: "",
            subscription,
            ask: Ask::None,
            message: "",
            groups: self.seen_in.iter().copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::terms::parse;
    use super::*;

    fn groups(described: &[(&str, &str)], members: &[(&str, &str)]) -> SharedGroups {
        let mut groups = SharedGroups::default();
        let name = |name: &str| (name.to_owned(), "a".to_owned());
        for (group, options) in described {
            groups.describe(name(group), &parse(options.as_bytes()).unwrap());
        }
        for (group, member) in members {
            groups.add(name(group), (*member).to_owned());
        }
        groups
    }

    fn contacts(groups: &SharedGroups, account: &str) -> Vec<String> {
        let contacts = groups.contacts_of(account);
        contacts.iter().flat_map(Contact::to_elements).map(|part| part.to_string()).collect()
    }

    #[test]
    fn members_of_a_group_that_sees_itself_are_contacts() {
        let team = ("team", "[{label,<<\"The Team\">>},{displayed_groups,[<<\"team\">>]}]");
        let groups = groups(&[team], &[("team", "x@a"), ("team", "y@a")]);
        let found = contacts(&groups, "x@a");
        assert_eq!(found.len(), 1);
        for part in ["jid='y@a'", "subscription='both'", "<group>The Team</group>"] {
            assert!(found[0].contains(part), "{found:?}");
        }
        assert!(contacts(&groups, "z@a").is_empty());
    }

    #[test]
    fn who_is_only_seen_has_who_sees_them_as_well() {
        let described =
            [("boss", "[]"), ("staff", "[{displayed_groups,[<<\"boss\">>,<<\"x\">>]}]")];
        let groups = groups(&described, &[("boss", "b@a"), ("staff", "s@a")]);
        let seen = contacts(&groups, "s@a").concat();
        assert!(
            seen.contains("subscription='to'") && seen.contains("<group>boss</group>"),
            "{seen}"
        );
        let back = contacts(&groups, "b@a").concat();
        assert!(back.contains("subscription='from'") && !back.contains("<group>"), "{back}");
    }

    #[test]
    fn all_accounts_may_be_members() {
        let all = "[{all_users,true},{displayed_groups,[<<\"all\">>]}]";
        let mut groups = groups(&[("all", all)], &[]);
        assert_eq!(groups.hosts_of_everybody().len(), 1);
        groups.admit_all("a", &["x@a", "y@a"].map(str::to_owned));
        assert_eq!(contacts(&groups, "x@a").len(), 1);
    }
}
