//! The Hashed Token mechanisms of FAST (XEP-0484).
//!
//! Clients speak draft-schmaus-kitten-sasl-ht-09, to which the XEP refers. Its successor
//! draft-ietf-kitten-sasl-ht-02 adds key/value pairs under the same mechanism names; the length
//! of the message tells the two apart, because the hash has a fixed one. Both are answered in
//! kind. No pairs are defined yet, so they are authenticated and ignored.

use subtle::ConstantTimeEq;
use wello_wire::jid::BareJid;

use super::failure::{Failure, Reason};
use super::hash::ScramHash;
use super::mechanism::{HtBinding, Mechanism};
use super::secret::Secret;
use super::{Answer, Context, Lookup, Machine, Step, Success, Turn, identity};

/// Octets of HMAC-SHA-256.
const MAC_LEN: usize = 32;

/// At least so many tokens are tried, because an account with FAST usually has two: XEP-0484
/// calls them "current" and "new".
const USUAL_TOKENS: usize = 2;

/// The server side of one exchange.
pub(super) struct HashedToken {
    binding: HtBinding,
    asked: Option<Asked>,
}

struct Asked {
    account: BareJid,
    pairs: Option<String>,
    mac: Vec<u8>,
}

impl HashedToken {
    pub(super) fn new(binding: HtBinding) -> HashedToken {
        HashedToken { binding, asked: None }
    }

    pub(super) fn receive(self, context: &Context, message: &[u8]) -> Turn {
        if self.asked.is_some() {
            return Err(Failure::malformed(Reason::OutOfTurn));
        }
        let message = Message::parse(message)?;
        let account = identity::account(message.authcid, &context.domain)?;
        let lookup = Lookup::FastTokens { account: account.clone(), mechanism: self.mechanism() };
        let pairs = message.pairs.map(str::to_owned);
        let asked = Some(Asked { account, pairs, mac: message.mac.to_vec() });
        Ok((Machine::HashedToken(HashedToken { asked, ..self }), Step::Lookup(lookup)))
    }

    pub(super) fn answer(self, context: &Context, answer: Answer) -> Turn {
        let mechanism = self.mechanism();
        let (Some(asked), Answer::FastTokens(tokens)) = (self.asked, answer) else {
            return Err(Failure::UNAVAILABLE);
        };
        let binding = self.binding.channel_binding();
        let channel = match binding {
            Some(binding) => context.bindings.data(binding),
            None => Some(&[][..]),
        };
        let channel = channel.ok_or(Failure::malformed(Reason::BindingTypeNotOffered))?;
        let matching = asked.matching(context, &tokens, channel);
        let token = matching.ok_or(Failure::not_authorized(Reason::Credentials))?;
        let data = Some(asked.response(&tokens[token], channel));
        let success =
            Success { identity: asked.account, mechanism, binding, data, token: Some(token) };
        Ok((Machine::Finished, Step::Done(success)))
    }

    fn mechanism(&self) -> Mechanism {
        Mechanism::HtSha256(self.binding)
    }
}

impl Asked {
    /// Which token the peer has. Takes equally long for accounts that do not exist.
    fn matching(&self, context: &Context, tokens: &[Secret], channel: &[u8]) -> Option<usize> {
        let pairs = self.pairs.as_deref().unwrap_or_default().as_bytes();
        let parts: [&[u8]; 3] = [b"Initiator", channel, pairs];
        let mut matching = None;
        for (index, token) in tokens.iter().enumerate() {
            let expected = ScramHash::Sha256.hmac(token.expose().as_bytes(), &parts);
            // An empty token would be one that everybody knows.
            if bool::from(expected.ct_eq(&self.mac)) && !token.expose().is_empty() {
                matching = Some(index);
            }
        }
        for _ in tokens.len()..USUAL_TOKENS {
            let nobody = context.fakes.token(&self.account);
            std::hint::black_box(ScramHash::Sha256.hmac(&nobody, &parts).ct_eq(&self.mac));
        }
        matching
    }

    fn response(&self, token: &Secret, channel: &[u8]) -> Vec<u8> {
        let mac = ScramHash::Sha256.hmac(token.expose().as_bytes(), &[b"Responder", channel]);
        match self.pairs {
            Some(_) => [&b"\0\0"[..], &mac].concat(),
            None => mac,
        }
    }
}

/// `initiator-msg = authcid NUL [pairs NUL] initiator-hashed-token`
struct Message<'a> {
    authcid: &'a str,
    /// `None` in the older form, which has no place for them.
    pairs: Option<&'a str>,
    mac: &'a [u8],
}

impl<'a> Message<'a> {
    fn parse(message: &'a [u8]) -> Result<Message<'a>, Failure> {
        let end = message.iter().position(|octet| *octet == 0).ok_or(SYNTAX)?;
        let (authcid, rest) = (&message[..end], &message[end + 1..]);
        let authcid = std::str::from_utf8(authcid);
        let authcid = authcid.map_err(|_| Failure::malformed(Reason::NotUtf8))?;
        if authcid.is_empty() {
            return Err(SYNTAX);
        }
        let (pairs, mac) = rest.split_last_chunk::<MAC_LEN>().ok_or(SYNTAX)?;
        let pairs = match pairs {
            [] => None,
            [pairs @ .., 0] => Some(parse_pairs(pairs).ok_or(SYNTAX)?),
            _ => return Err(SYNTAX),
        };
        Ok(Message { authcid, pairs, mac })
    }
}

fn parse_pairs(pairs: &[u8]) -> Option<&str> {
    let pairs = std::str::from_utf8(pairs).ok()?;
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b"/+-_".contains(&c);
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(allowed);
    let is_pair = |pair: &str| {
        pair.split_once('=').is_some_and(|(key, value)| is_word(key) && is_word(value))
    };
    (pairs.is_empty() || pairs.split(',').all(is_pair)).then_some(pairs)
}

const SYNTAX: Failure = Failure::malformed(Reason::Syntax);
