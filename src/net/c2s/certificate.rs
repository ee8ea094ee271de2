//! Accounts that a client's certificate names (SASL EXTERNAL, XEP-0178).

use std::collections::HashSet;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::UnixTime;
use wello_store::Timestamp;
use wello_stream::sasl::{Condition, Failure, Reason, Verdict};
use wello_wire::jid::{BareJid, Jid};

use crate::tls::{TlsInfo, XmppAddr, validate_client_certificate};

/// The local accounts in the certificate that was shown, if one of the authorities vouches for it.
pub(super) fn accounts(
    info: &TlsInfo,
    authorities: &RootCertStore,
    hosts: &HashSet<String>,
    now: Timestamp,
) -> Vec<BareJid> {
    if info.client_certificates.is_empty() || authorities.is_empty() {
        return Vec::new();
    }
    // Before 1970 no certificate is valid either.
    let now = Duration::from_micros(u64::try_from(now.as_micros()).unwrap_or(0));
    let now = UnixTime::since_unix_epoch(now);
    let names = match validate_client_certificate(&info.client_certificates, authorities, now) {
        Ok(names) => names,
        Err(error) => {
            tracing::info!(%error, "client certificate not used");
            return Vec::new();
        }
    };
    let account = |name: &XmppAddr| BareJid::try_from(name.account()?.parse::<Jid>().ok()?).ok();
    let local = |jid: &BareJid| hosts.contains(jid.domain());
    names.iter().filter_map(account).filter(local).collect()
}

/// Whom the client means: the authorization identity chooses among several, without it the stream
/// header does (XEP-0178, section 2, items 10 and 11).
pub(super) fn choose(
    accounts: &[BareJid],
    authzid: Option<&BareJid>,
    claimed: Option<&BareJid>,
) -> Verdict {
    let refused = |condition| Err(Failure::new(condition, Reason::ForeignAuthzid));
    match (authzid.or(claimed), accounts) {
        (Some(wanted), _) if accounts.contains(wanted) => Ok(wanted.clone()),
        (None, [only]) => Ok(only.clone()),
        _ if authzid.is_some() => refused(Condition::InvalidAuthzid),
        _ => refused(Condition::NotAuthorized),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_with_several_names_needs_a_choice() {
        let jid = |text: &str| text.parse::<BareJid>().unwrap();
        let (a, b, c) = (jid("a@x"), jid("b@x"), jid("c@x"));
        let both = [a.clone(), b.clone()];
        let condition = |verdict: Verdict| verdict.unwrap_err().condition;
        assert_eq!(choose(&both, Some(&b), None), Ok(b.clone()));
        assert_eq!(choose(&both, None, Some(&b)), Ok(b.clone()));
        assert_eq!(choose(&both, Some(&a), Some(&b)), Ok(a.clone()));
        assert_eq!(choose(&both[..1], None, None), Ok(a));
        assert_eq!(condition(choose(&both, None, None)), Condition::NotAuthorized);
        assert_eq!(condition(choose(&both, None, Some(&c))), Condition::NotAuthorized);
        assert_eq!(condition(choose(&both, Some(&c), None)), Condition::InvalidAuthzid);
        assert_eq!(condition(choose(&[], None, None)), Condition::NotAuthorized);
    }
}
