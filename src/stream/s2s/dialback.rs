//! Keys and elements of server dialback (XEP-0220, keys by XEP-0185).

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use wello_wire::error::StanzaError;
use wello_wire::hex;
use wello_wire::ns;
use wello_wire::xml::Element;

use super::{Domain, Pair};
use crate::random::random_bytes;
use crate::sasl::ScramHash;

/// What the keys are made of; nobody else knows it.
pub struct DialbackSecret(String);

impl std::fmt::Debug for DialbackSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DialbackSecret(..)")
    }
}

impl DialbackSecret {
    pub fn random() -> DialbackSecret {
        DialbackSecret::new(&random_bytes::<32>())
    }

    fn new(secret: &[u8]) -> DialbackSecret {
        DialbackSecret(hex::encode(Sha256::digest(secret)))
    }

    /// XEP-0185, section 3. `pair`: who originates the stream, and who receives it.
    pub fn key(&self, pair: &Pair, stream: &str) -> String {
        let parts = [pair.to.as_str(), " ", pair.from.as_str(), " ", stream];
        let key = ScramHash::Sha256.hmac(self.0.as_bytes(), &parts.map(str::as_bytes));
        hex::encode(key)
    }

    pub(super) fn verifies(&self, verification: &Verification) -> bool {
        let key = self.key(&verification.pair, &verification.stream);
        key.as_bytes().ct_eq(verification.key.as_bytes()).into()
    }
}

/// What the receiving server asks the authoritative one (XEP-0220, section 2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Of the stream that is to be: the server that claims to be `from`, and we.
    pub pair: Pair,
    /// The id of that stream.
    pub stream: String,
    pub key: String,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Valid,
    Invalid,
    /// XEP-0220, section 2.4: nobody could tell.
    Unknown(StanzaError),
}

/// A `<db:result/>` or `<db:verify/>`.
pub(super) struct Dialback {
    pub is_verify: bool,
    pub from: Domain,
    pub to: Domain,
    pub id: Option<String>,
    /// Of answers alone.
    pub verdict: Option<Verdict>,
    pub key: String,
}

impl Dialback {
    /// `None` when it is neither, or not addressed.
    pub fn parse(element: &Element) -> Option<Dialback> {
        let is_verify = match element.name() {
            "result" => false,
            "verify" => true,
            _ => return None,
        };
        let verdict = match element.attr("type") {
            None => None,
            Some("valid") => Some(Verdict::Valid),
            Some("error") => {
                let error = element.children().find(|child| child.name() == "error");
                let error = error.map(StanzaError::from_element);
                let unknown = || StanzaError::undefined_condition("dialback failed");
                Some(Verdict::Unknown(error.unwrap_or_else(unknown)))
            }
            // Whatever does not say that it is valid.
            Some(_) => Some(Verdict::Invalid),
        };
        Some(Dialback {
            is_verify,
            from: Domain::parse(element.attr("from")?)?,
            to: Domain::parse(element.attr("to")?)?,
            id: element.attr("id").map(str::to_owned),
            verdict,
            key: element.text().trim().to_owned(),
        })
    }
}

/// A claim to be `pair.from`.
pub(super) fn claim(pair: &Pair, key: String) -> Element {
    addressed("result", &pair.from, &pair.to).with_text(key)
}

pub(super) fn question(verification: &Verification) -> Element {
    // From the receiving server to the authoritative one: against the stream that is to be.
    let Verification { pair, stream, key } = verification;
    addressed("verify", &pair.to, &pair.from).with_attr("id", stream.as_str()).with_text(key)
}

/// The answer to a claim.
pub(super) fn result(pair: &Pair, verdict: &Verdict) -> Element {
    judged(addressed("result", &pair.to, &pair.from), verdict)
}

/// The answer to a question about the stream with that id.
pub(super) fn answer(from: &Domain, to: &Domain, id: &str, verdict: &Verdict) -> Element {
    judged(addressed("verify", from, to).with_attr("id", id), verdict)
}

fn addressed(name: &'static str, from: &Domain, to: &Domain) -> Element {
    let element = Element::new(name, ns::DIALBACK);
    element.with_attr("from", from.as_str()).with_attr("to", to.as_str())
}

fn judged(element: Element, verdict: &Verdict) -> Element {
    match verdict {
        Verdict::Valid => element.with_attr("type", "valid"),
        Verdict::Invalid => element.with_attr("type", "invalid"),
        Verdict::Unknown(error) => {
            element.with_attr("type", "error").with_child(error.to_element(ns::SERVER))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_xep_0185() {
        let domain = |text| Domain::parse(text).unwrap();
        let pair = Pair { from: domain("example.org"), to: domain("xmpp.example.com") };
        let secret = DialbackSecret::new(b"s3cr3tf0rd14lb4ck");
        let key = "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643";
        assert_eq!(secret.key(&pair, "D60000229F"), key);
        let (stream, key) = ("D60000229F".to_owned(), key.to_owned());
        let question = Verification { pair, stream, key };
        assert!(secret.verifies(&question));
        let other = Verification { stream: "D60000229E".into(), ..question.clone() };
        assert!(!secret.verifies(&other));
        let Pair { from, to } = question.pair.clone();
        let turned = Verification { pair: Pair { from: to, to: from }, ..question.clone() };
        assert!(!secret.verifies(&turned));
        assert!(!secret.verifies(&Verification { key: String::new(), ..question }));
    }

    #[test]
    fn only_valid_is_valid() {
        let parse = |attributes: &str| {
            let text = format!("<result xmlns='jabber:server:dialback' {attributes}/>");
            Dialback::parse(&text.parse().unwrap())
        };
        let verdict = |type_: &str| parse(&format!("from='a' to='b' {type_}")).unwrap().verdict;
        assert_eq!(verdict(""), None);
        assert_eq!(verdict("type='valid'"), Some(Verdict::Valid));
        assert_eq!(verdict("type='invalid'"), Some(Verdict::Invalid));
        assert_eq!(verdict("type='Valid'"), Some(Verdict::Invalid));
        assert!(matches!(verdict("type='error'"), Some(Verdict::Unknown(_))));
        assert!(parse("from='a'").is_none());
        assert!(parse("from='a@b' to='c'").is_none());
        assert!(parse("from='a' to='c/d'").is_none());
    }
}
