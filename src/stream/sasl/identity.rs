//! From the names in SASL messages to addresses, and who may act for whom.

use wello_wire::jid::BareJid;

use super::failure::{Condition, Failure, Reason};

/// The account that a user name means: a localpart, as RFC 6120, section 6.3.7 has it, or a bare
/// address on `domain`, as some clients send. A localpart cannot contain `@`, so this is
/// unambiguous.
pub(super) fn account(authcid: &str, domain: &BareJid) -> Result<BareJid, Failure> {
    let account = match authcid.contains('@') {
        true => authcid.parse::<BareJid>(),
        false => BareJid::from_parts(Some(authcid), domain.as_str()),
    };
    // A name that nobody can have is answered like a wrong password.
    let account = account.map_err(|_| Failure::not_authorized(Reason::UserName))?;
    match account.domain() == domain.as_str() {
        true => Ok(account),
        false => Err(Failure::not_authorized(Reason::UserName)),
    }
}

/// Nobody acts for another: an authorization identity must be the bare address of the
/// authenticated one (RFC 6120, section 6.3.8), and what the stream header claimed (XEP-0388,
/// "Non-Empty Authorization Strings").
pub(super) fn check_authzid(
    authzid: Option<&str>,
    authenticated: &BareJid,
    claimed: Option<&BareJid>,
) -> Result<(), Failure> {
    const FOREIGN: Failure = Failure::new(Condition::InvalidAuthzid, Reason::ForeignAuthzid);
    let Some(authzid) = authzid.filter(|authzid| !authzid.is_empty()) else { return Ok(()) };
    let authzid: BareJid = authzid.parse().map_err(|_| FOREIGN)?;
    match authzid == *authenticated && claimed.is_none_or(|claimed| *claimed == authzid) {
        true => Ok(()),
        false => Err(FOREIGN),
    }
}
