//! What this server tells about itself in service discovery.

use serde::Deserialize;

use super::ConfigError;

/// XEP-0485.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct ServerInfo {
    pub publish: bool,
    /// Names those that have agreed to it, too.
    pub federation: bool,
}

/// XEP-0455.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Outage {
    pub status_addresses: Vec<String>,
}

/// XEP-0504, section 3; nothing is told of what is not set.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct DataPolicy {
    pub auth_data: Option<AuthData>,
    pub data_retention: Option<Hours>,
    pub data_deletion: Option<bool>,
    pub encryption_at_rest: Option<bool>,
    pub tos: Option<String>,
    pub data_export: Option<bool>,
    pub access_policy: Vec<Accessor>,
    pub full_erasure: Option<bool>,
    /// Hours; 0: no backups.
    pub backup_frequency: Option<u32>,
    pub backup_retention: Option<Hours>,
    pub extra_info: Vec<String>,
}

/// What becomes of passwords and the like.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum AuthData {
    NoAuth,
    Plain,
    Hidden,
    Restricted,
}

/// Who can get at data of users.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Accessor {
    Admins,
    Moderators,
    OrganizationMember,
    Government,
    Advertisers,
    Partners,
    None,
}

/// How long something is kept.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub enum Hours {
    Count(u32),
    Word(Unbounded),
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Unbounded {
    Infinite,
    Unknown,
}

impl AuthData {
    pub fn as_str(self) -> &'static str {
        match self {
            AuthData::NoAuth => "no_auth",
            AuthData::Plain => "plain",
            AuthData::Hidden => "hidden",
            AuthData::Restricted => "restricted",
        }
    }
}

impl Accessor {
    pub fn as_str(self) -> &'static str {
        match self {
            Accessor::Admins => "admins",
            Accessor::Moderators => "moderators",
            Accessor::OrganizationMember => "organization_member",
            Accessor::Government => "government",
            Accessor::Advertisers => "advertisers",
            Accessor::Partners => "partners",
            Accessor::None => "none",
        }
    }
}

impl std::fmt::Display for Hours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Hours::Count(hours) => write!(f, "{hours}"),
            Hours::Word(Unbounded::Infinite) => f.write_str("infinite"),
            Hours::Word(Unbounded::Unknown) => f.write_str("unknown"),
        }
    }
}

impl DataPolicy {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let accessors = &self.access_policy;
        if accessors.contains(&Accessor::None) && accessors.len() > 1 {
            let reason = "\"none\" goes with no others (XEP-0504)".to_owned();
            return Err(ConfigError::Value { key: "data_policy.access_policy", reason });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn what_is_kept_is_hours_or_a_word() {
        let parse = |text: &str| Config::parse(&format!("[data_policy]\n{text}"), []);
        let retention = |text: &str| parse(text).unwrap().data_policy.data_retention;
        assert_eq!(retention("data_retention = 24"), Some(Hours::Count(24)));
        let infinite = retention("data_retention = 'infinite'").unwrap();
        assert_eq!(infinite.to_string(), "infinite");
        assert!(parse("data_retention = 'long'").is_err());
        assert!(parse("access_policy = ['admins', 'none']").is_err());
        assert!(parse("access_policy = ['none']").is_ok());
    }
}
