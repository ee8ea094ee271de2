//! Which domains are talked to, and what they have to show.

use wello_kernel::config::S2s;
use wello_stream::s2s::Domain;

/// What the operator wants of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Denied,
    /// A valid certificate, and nothing less.
    Certificate,
    /// A certificate or dialback.
    Either,
}

/// The verdict and why.
pub fn decide(config: &S2s, domain: &Domain) -> (Verdict, &'static str) {
    let name = domain.as_str();
    if any(&config.deny, name) {
        return (Verdict::Denied, "in s2s.deny");
    }
    if !config.allow.is_empty() && !any(&config.allow, name) {
        return (Verdict::Denied, "not in s2s.allow");
    }
    if config.require_certificate {
        return (Verdict::Certificate, "s2s.require_certificate");
    }
    if any(&config.require_certificate_of, name) {
        return (Verdict::Certificate, "in s2s.require_certificate_of");
    }
    (Verdict::Either, "no rule")
}

fn any(list: &[String], name: &str) -> bool {
    list.iter().any(|pattern| covers(pattern, name))
}

fn covers(pattern: &str, name: &str) -> bool {
    let pattern = pattern.to_lowercase();
    match pattern.strip_prefix("*.") {
        Some(above) => name.strip_suffix(above).is_some_and(|rest| rest.ends_with('.')),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(config: &S2s, name: &str) -> Verdict {
        decide(config, &Domain::parse(name).unwrap()).0
    }

    #[test]
    fn rules_by_domain() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mut config = S2s {
            deny: list(&["evil.example", "*.spam.example"]),
            require_certificate_of: list(&["Bank.example"]),
            ..S2s::default()
        };
        assert_eq!(verdict(&config, "evil.example"), Verdict::Denied);
        assert_eq!(verdict(&config, "a.b.spam.example"), Verdict::Denied);
        assert_eq!(verdict(&config, "spam.example"), Verdict::Either);
        assert_eq!(verdict(&config, "notspam.example"), Verdict::Either);
        assert_eq!(verdict(&config, "bank.example"), Verdict::Certificate);
        config.allow = list(&["friend.example", "evil.example"]);
        assert_eq!(verdict(&config, "friend.example"), Verdict::Either);
        assert_eq!(verdict(&config, "evil.example"), Verdict::Denied);
        assert_eq!(verdict(&config, "bank.example"), Verdict::Denied);
        config.require_certificate = true;
        assert_eq!(verdict(&config, "friend.example"), Verdict::Certificate);
    }
}
