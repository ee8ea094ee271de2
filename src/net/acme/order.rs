//! One order, from the names to the certificate (RFC 8555 §7.4).

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, Identifier, NewOrder, Order, OrderStatus,
    Problem, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use tokio::time::{sleep, timeout};

use crate::tls::DnsName;

use super::challenge::{Answers, Provided};
use super::error::{AcmeError, Refusal};

/// For the order as a whole. Authorities check from several places, and retry.
const ORDER_TIMEOUT: Duration = Duration::from_secs(300);
const FIRST_POLL: Duration = Duration::from_secs(1);
/// How long a failed order's other names may still be in the making.
const SETTLE_POLLS: u32 = 10;
const SETTLE_PAUSE: Duration = Duration::from_secs(2);

/// What the authority issued, and the key it was issued for.
pub(super) struct Issued {
    pub(super) chain_pem: String,
    pub(super) key_pem: String,
}

/// Obtains a certificate for exactly these names. With [`AcmeError::Refused`] the authority says
/// which of them stand in the way.
pub(super) async fn obtain(
    account: &Account,
    names: &[DnsName],
    answers: &Answers,
) -> Result<Issued, AcmeError> {
    timeout(ORDER_TIMEOUT, place_order(account, names, answers))
        .await
        .map_err(|_| AcmeError::Timeout)?
}

async fn place_order(
    account: &Account,
    names: &[DnsName],
    answers: &Answers,
) -> Result<Issued, AcmeError> {
    let identifiers: Vec<Identifier> =
        names.iter().map(|name| Identifier::Dns(name.to_string())).collect();
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await.map_err(rejected)?;
    let provided = answer_challenges(&mut order, answers).await?;
    let polling = RetryPolicy::new().initial_delay(FIRST_POLL).backoff(1.5).timeout(ORDER_TIMEOUT);
    match order.poll_ready(&polling).await {
        Ok(OrderStatus::Ready) => {}
        // Some servers say why in the order, all of them in the authorizations.
        Ok(_) | Err(instant_acme::Error::Api(_)) => {
            return Err(AcmeError::Refused(refusals(&mut order).await?));
        }
        Err(error) => return Err(error.into()),
    }
    drop(provided);
    let key = KeyPair::generate()?; // ECDSA P-256, a new one each time
    order.finalize_csr(&signing_request(names, &key)?).await?;
    let chain_pem = order.poll_certificate(&polling).await?;
    Ok(Issued { chain_pem, key_pem: key.serialize_pem() })
}

/// Puts out the answers to all challenges, and tells the authority.
async fn answer_challenges<'a>(
    order: &mut Order,
    answers: &'a Answers,
) -> Result<Provided<'a>, AcmeError> {
    let mut provided = answers.nothing_yet();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        // Valid: proved for an earlier order, and remembered.
        if authorization.status != AuthorizationStatus::Pending {
            continue;
        }
        let name = name_of(&authorization);
        let no_challenge = || AcmeError::NoChallenge { kind: answers.kind, name: name.clone() };
        let domain = DnsName::new(&name).ok_or_else(no_challenge)?;
        let mut challenge =
            authorization.challenge(answers.kind.into()).ok_or_else(no_challenge)?;
        provided.answer(&domain, &challenge)?;
        challenge.set_ready().await.map_err(|error| match error {
            // Some servers check at once.
            instant_acme::Error::Api(problem) => {
                let reason = describe(problem.detail.as_deref(), problem.r#type.as_deref());
                AcmeError::Refused(vec![Refusal { name: name.clone(), reason }])
            }
            other => other.into(),
        })?;
    }
    Ok(provided)
}

/// Why an order failed: its authorizations that are not valid. The first one that fails fails the
/// order, so the others get some time to show what becomes of them.
async fn refusals(order: &mut Order) -> Result<Vec<Refusal>, AcmeError> {
    let mut found = Vec::new();
    for _ in 0..SETTLE_POLLS {
        found.clear();
        let mut pending = 0;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            authorization.refresh().await?;
            if authorization.status == AuthorizationStatus::Pending {
                pending += 1;
            }
            if authorization.status != AuthorizationStatus::Valid {
                let name = name_of(&authorization);
                found.push(Refusal { name, reason: reason(&authorization) });
            }
        }
        if pending == 0 {
            break;
        }
        sleep(SETTLE_PAUSE).await;
    }
    Ok(found)
}

fn reason(authorization: &AuthorizationHandle<'_>) -> String {
    let error = authorization.challenges.iter().find_map(|challenge| challenge.error.as_ref());
    match error {
        Some(problem) => describe(problem.detail.as_deref(), problem.r#type.as_deref()),
        None => format!("authorization {:?}", authorization.status).to_lowercase(),
    }
}

/// Names that the authority does not even want to check (RFC 8555 §6.7.1).
fn rejected(error: instant_acme::Error) -> AcmeError {
    let instant_acme::Error::Api(problem) = &error else { return error.into() };
    let refusals: Vec<Refusal> = rejected_names(problem).collect();
    if refusals.is_empty() { error.into() } else { AcmeError::Refused(refusals) }
}

fn rejected_names(problem: &Problem) -> impl Iterator<Item = Refusal> {
    problem.subproblems.iter().filter_map(|sub| match &sub.identifier {
        Some(Identifier::Dns(name)) => {
            let reason = describe(sub.detail.as_deref(), sub.r#type.as_deref());
            Some(Refusal { name: name.clone(), reason })
        }
        _ => None,
    })
}

fn describe(detail: Option<&str>, kind: Option<&str>) -> String {
    detail.or(kind).unwrap_or("no reason given").to_owned()
}

fn name_of(authorization: &AuthorizationHandle<'_>) -> String {
    authorization.identifier().to_string()
}

fn signing_request(names: &[DnsName], key: &KeyPair) -> Result<Vec<u8>, rcgen::Error> {
    let names: Vec<String> = names.iter().map(DnsName::to_string).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(key)?.der().to_vec())
}
