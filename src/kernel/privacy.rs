//! What accounts show to whom: their choices, and what their host has as a default.
//!
//! Vcards and avatars are not here: they are nodes, whose access models say who may read them.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use wello_store::{PrivacyChoice, StoreError, StrangerPolicy, Subscription, Viewers};
use wello_wire::jid::{BareJid, Jid};
use wello_wire::stanza::{PresenceType, Stanza};

use crate::Kernel;
use crate::config::Config;

/// What holds for an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub presence: Viewers,
    /// Never more than those who may see its presence (XEP-0012, section 4).
    pub last_seen: Viewers,
    pub strangers: StrangerPolicy,
}

impl Settings {
    pub fn of(config: &Config, domain: &str, choice: Option<&PrivacyChoice>) -> Settings {
        let defaults = config.privacy_of(domain);
        let presence = choice.and_then(|choice| choice.presence).unwrap_or(defaults.presence);
        let last_seen = choice.and_then(|choice| choice.last_seen).unwrap_or(defaults.last_seen);
        let strangers = choice.and_then(|choice| choice.strangers).unwrap_or(defaults.strangers);
        Settings { presence, last_seen: last_seen.min(presence), strangers }
    }
}

/// The settings of accounts that lately sent or got something.
#[derive(Default)]
pub struct Privacy {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    known: HashMap<Box<str>, Settings>,
    /// Counts the changes, so that what was read before a change is not kept after it.
    changes: u64,
}

/// Accounts that are remembered before all are forgotten.
const MAX_KNOWN: usize = 100_000;

impl Privacy {
    fn known(&self, account: &str) -> Result<Settings, u64> {
        let state = self.state.read();
        state.known.get(account).copied().ok_or(state.changes)
    }

    fn keep(&self, account: &str, settings: Settings, changes: u64) {
        let mut state = self.state.write();
        if state.changes != changes {
            return;
        }
        if state.known.len() >= MAX_KNOWN {
            state.known.clear();
        }
        state.known.insert(account.into(), settings);
    }

    pub(crate) fn forget(&self, account: &str) {
        let mut state = self.state.write();
        state.changes += 1;
        state.known.remove(account);
    }
}

impl Kernel {
    /// What holds for an account here (bare JID).
    pub async fn privacy_of(&self, account: &Jid) -> Result<Settings, StoreError> {
        let changes = match self.privacy.known(account.bare_str()) {
            Ok(settings) => return Ok(settings),
            Err(changes) => changes,
        };
        let choice = self.store.privacy.choice(account.bare_str()).await?;
        let settings = Settings::of(&self.config, account.domain(), choice.as_ref());
        self.privacy.keep(account.bare_str(), settings, changes);
        Ok(settings)
    }

    /// Whether `viewer` has a subscription to the presence of `account`.
    pub async fn is_subscriber(&self, account: &BareJid, viewer: &BareJid) -> bool {
        let entry = self.store.roster.entry(account.as_str(), viewer.as_str()).await;
        let item = entry.ok().and_then(|entry| entry.item);
        item.is_some_and(|item| {
            matches!(item.subscription, Subscription::From | Subscription::Both)
        })
    }

    /// Whether `viewer`, somebody else, may see whether the account is there.
    pub async fn sees_presence(&self, account: &BareJid, viewer: &BareJid) -> bool {
        self.is_among(account, viewer, |settings| settings.presence).await
    }

    /// Whether `viewer`, somebody else, may see when the account was there last.
    pub async fn sees_last(&self, account: &BareJid, viewer: &BareJid) -> bool {
        self.is_among(account, viewer, |settings| settings.last_seen).await
    }

    /// Nobody is, as long as the settings cannot be read.
    async fn is_among(
        &self,
        account: &BareJid,
        viewer: &BareJid,
        what: fn(Settings) -> Viewers,
    ) -> bool {
        match self.privacy_of(account).await.map(what) {
            Ok(Viewers::Everyone) => true,
            Ok(Viewers::Contacts) => self.is_subscriber(account, viewer).await,
            Ok(Viewers::Nobody) => false,
            Err(error) => {
                tracing::error!(%account, %error, "privacy settings not read");
                false
            }
        }
    }

    /// Whether the account's presence is told to its subscribers.
    pub async fn shows_presence(&self, account: &BareJid) -> bool {
        match self.privacy_of(account).await {
            Ok(settings) => settings.presence != Viewers::Nobody,
            Err(error) => {
                tracing::error!(%account, %error, "privacy settings not read");
                false
            }
        }
    }

    /// Takes a choice, which holds when it returns: subscribers see the account come or go.
    pub async fn choose_privacy(
        self: &Arc<Self>,
        account: &BareJid,
        choice: &PrivacyChoice,
    ) -> Result<(), StoreError> {
        let before = self.privacy_of(account).await?.presence;
        let after = Settings::of(&self.config, account.domain(), Some(choice)).presence;
        if after == Viewers::Nobody && before != after {
            // While they still may be told.
            self.tell_subscribers(account, |session| {
                let gone = Stanza::presence(PresenceType::Unavailable);
                session.is_available().then(|| gone.with_from(session.jid.clone()))
            })
            .await;
        }
        let stored = self.store.privacy.choose(account.as_str(), choice).await;
        self.privacy.forget(account.as_str());
        stored?;
        if before == Viewers::Nobody && before != after {
            self.tell_subscribers(account, |session| session.presence()).await;
        }
        Ok(())
    }

    async fn tell_subscribers(
        self: &Arc<Self>,
        account: &BareJid,
        what: impl Fn(&crate::sessions::Session) -> Option<Stanza>,
    ) {
        let presences: Vec<Stanza> =
            self.sessions.of(account).iter().filter_map(|session| what(session)).collect();
        for presence in presences {
            self.broadcast_to_subscribers(account, &presence).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_goes_before_the_default_and_last_seen_follows_presence() {
        let config = Config::parse("[privacy]\npresence = 'everyone'", []).unwrap();
        let none = Settings::of(&config, "b", None);
        let expected = Settings {
            presence: Viewers::Everyone,
            last_seen: Viewers::Contacts,
            strangers: StrangerPolicy::Accept,
        };
        assert_eq!(none, expected);
        let choice = PrivacyChoice {
            presence: Some(Viewers::Nobody),
            last_seen: Some(Viewers::Everyone),
            strangers: Some(StrangerPolicy::Refuse),
            listed_as: None,
        };
        let chosen = Settings::of(&config, "b", Some(&choice));
        assert_eq!(chosen.last_seen, Viewers::Nobody);
        assert_eq!(chosen.strangers, StrangerPolicy::Refuse);
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept() {
        let privacy = Privacy::default();
        let settings = Settings::of(&Config::default(), "b", None);
        let Err(changes) = privacy.known("a@b") else { panic!("nothing is known yet") };
        privacy.forget("a@b");
        privacy.keep("a@b", settings, changes);
        assert!(privacy.known("a@b").is_err());
        privacy.keep("a@b", settings, changes + 1);
        assert_eq!(privacy.known("a@b"), Ok(settings));
    }
}
