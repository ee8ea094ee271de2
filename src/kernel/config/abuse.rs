//! What is done against spam and abuse.

use std::path::PathBuf;

use serde::Deserialize;
use wello_wire::jid::Jid;

use super::ConfigError;
use crate::blocklist::Rules;

/// Whom nobody here talks to.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Blocklists {
    /// A domain, `*.DOMAIN` or bare address in each line.
    pub files: Vec<PathBuf>,
    /// Lists of others, which tell of their changes.
    pub feeds: Vec<Feed>,
    /// Domains and addresses that no feed counts for.
    pub except: Vec<String>,
}

/// A node of a PubSub service whose items are what it lists.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Feed {
    pub service: String,
    pub node: String,
    pub kind: FeedKind,
}

/// What the items of a feed are.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum FeedKind {
    /// SHA-256 of bare addresses and domains, in hexadecimal.
    Hashes,
    /// Domains.
    Domains,
}

impl Blocklists {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let value = |key, reason: String| Err(ConfigError::Value { key, reason });
        let is_service = |feed: &&Feed| feed.service.parse::<Jid>().is_ok_and(|jid| jid.is_bare());
        if let Some(bad) = self.feeds.iter().find(|feed| !is_service(feed)) {
            return value("blocklists.feeds", format!("{:?} is not a service", bad.service));
        }
        let mut rules = Rules::default();
        if let Some(bad) = self.except.iter().find(|rule| !rules.add(rule)) {
            let reason = format!("{bad:?} is neither a domain, *.DOMAIN nor a bare address");
            return value("blocklists.except", reason);
        }
        Ok(())
    }
}

/// What one account here may send to strangers: to those who have neither answered it nor a subscription
/// with it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Egress {
    pub strangers_per_hour: usize,
    pub strangers_per_day: usize,
    /// Other servers that they are at.
    pub domains_per_day: usize,
    /// How long an account is new.
    pub new_days: u32,
    /// The same for new accounts.
    pub new_strangers_per_hour: usize,
    pub new_strangers_per_day: usize,
    pub new_domains_per_day: usize,
}

impl Default for Egress {
    fn default() -> Egress {
        Egress {
            strangers_per_hour: 60,
            strangers_per_day: 200,
            domains_per_day: 60,
            new_days: 3,
            new_strangers_per_hour: 20,
            new_strangers_per_day: 60,
            new_domains_per_day: 20,
        }
    }
}

/// Who else gets what users report as spam or abuse (XEP-0377).
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Reports {
    /// Addresses; those elsewhere get a report if the reporter agrees, without the reporter's address.
    pub forward_to: Vec<String>,
    /// The server of who is reported, if the reporter agrees.
    pub forward_to_origin: bool,
}

impl Default for Reports {
    fn default() -> Reports {
        Reports { forward_to: Vec::new(), forward_to_origin: true }
    }
}

impl Reports {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match self.forward_to.iter().find(|to| to.parse::<Jid>().is_err()) {
            Some(bad) => {
                let reason = format!("{bad:?} is not an address");
                Err(ConfigError::Value { key: "reports.forward_to", reason })
            }
            None => Ok(()),
        }
    }
}

/// What was done by those who have power over others.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// 0: for ever.
    pub keep_days: u32,
}

impl Default for Audit {
    fn default() -> Audit {
        Audit { keep_days: 730 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    #[test]
    fn mistakes_are_named() {
        let error = |text: &str| Config::parse(text, []).unwrap_err().to_string();
        let feed = |service, kind| {
            format!(
                "[blocklists]\nfeeds = [{{ service = '{service}', node = 'n', kind = '{kind}' }}]"
            )
        };
        assert!(error(&feed("a@b/c", "hashes")).contains("a@b/c"));
        assert!(error(&feed("a.example", "names")).contains("domains"));
        assert!(error("[blocklists]\nexcept = ['*']").contains("*.DOMAIN"));
        assert!(Config::parse(&feed("a.example", "domains"), []).is_ok());
    }
}
