//! The SCRAM mechanisms (RFC 5802, RFC 7677), with the downgrade protection of XEP-0474.

mod keys;
mod message;

use subtle::ConstantTimeEq;
use wello_wire::jid::BareJid;

use super::failure::{Failure, Reason};
use super::gs2::{BindingFlag, Gs2Header};
use super::hash::ScramHash;
use super::mechanism::{BindingType, Mechanism};
use super::{Answer, Context, Lookup, Machine, Step, Success, Turn, encoding, identity};
use message::{ClientFinal, ClientFirst};

pub use keys::{DEFAULT_ITERATIONS, KeyError, MAX_ITERATIONS, MIN_ITERATIONS, ScramKeys};
pub(super) use keys::{SALT_LEN, check_parameters, random_salt};

/// The server side of one SCRAM exchange.
pub(super) struct Scram {
    hash: ScramHash,
    plus: bool,
    server_nonce: String,
    state: State,
}

enum State {
    First,
    /// Waiting for the keys of the account.
    Keys(Started),
    Final(Started, Challenged),
}

/// What the client's first message settled.
struct Started {
    account: BareJid,
    binding: Option<BindingType>,
    gs2_header: String,
    client_first_bare: String,
    nonce: String,
}

/// What the client was challenged with.
struct Challenged {
    keys: ScramKeys,
    /// False for made-up keys: then the exchange fails, whatever comes.
    known: bool,
    server_first: String,
}

impl Scram {
    pub(super) fn new(hash: ScramHash, plus: bool, server_nonce: String) -> Scram {
        Scram { hash, plus, server_nonce, state: State::First }
    }

    pub(super) fn receive(self, context: &Context, message: &[u8]) -> Turn {
        let message = std::str::from_utf8(message);
        let message = message.map_err(|_| Failure::malformed(Reason::NotUtf8))?;
        match self.state {
            State::First => self.first(context, message),
            State::Keys(_) => Err(Failure::malformed(Reason::OutOfTurn)),
            State::Final(ref started, ref challenged) => {
                self.last(context, started, challenged, message)
            }
        }
    }

    pub(super) fn answer(self, context: &Context, answer: Answer) -> Turn {
        match (self.state, answer) {
            (State::Keys(started), Answer::ScramKeys(keys)) => {
                let scram = Scram { state: State::First, ..self };
                Ok(scram.challenge(context, started, keys))
            }
            _ => Err(Failure::UNAVAILABLE),
        }
    }

    fn first(self, context: &Context, message: &str) -> Turn {
        let first = ClientFirst::parse(message)?;
        let binding = choose_binding(context, self.plus, &first.header)?;
        let account = identity::account(&first.username, &context.domain)?;
        let authzid = first.header.authzid.as_deref();
        identity::check_authzid(authzid, &account, context.claimed.as_ref())?;
        let lookup = Lookup::ScramKeys { account: account.clone(), hash: self.hash };
        let started = Started {
            account,
            binding,
            gs2_header: first.header.raw.to_owned(),
            client_first_bare: first.bare.to_owned(),
            nonce: format!("{}{}", first.nonce, self.server_nonce),
        };
        let scram = Scram { state: State::Keys(started), ..self };
        Ok((Machine::Scram(Box::new(scram)), Step::Lookup(lookup)))
    }

    /// An account without keys for this hash is treated as one that does not exist, or the peer
    /// could tell the two apart.
    fn challenge(
        self,
        context: &Context,
        started: Started,
        keys: Option<ScramKeys>,
    ) -> (Machine, Step) {
        let keys = keys.filter(|keys| keys.hash() == self.hash);
        let known = keys.is_some();
        let keys = keys.unwrap_or_else(|| context.fakes.keys(&started.account, self.hash));
        let salt = encoding::encode(keys.salt());
        let mut server_first = format!("r={},s={salt},i={}", started.nonce, keys.iterations());
        if context.downgrade_protection {
            let protected = self.hash.digest(context.offer.downgrade_protected().as_bytes());
            server_first.push_str(",h=");
            server_first.push_str(&encoding::encode(&protected));
        }
        let challenge = server_first.clone().into_bytes();
        let challenged = Challenged { keys, known, server_first };
        let scram = Scram { state: State::Final(started, challenged), ..self };
        (Machine::Scram(Box::new(scram)), Step::Challenge(challenge))
    }

    fn last(
        &self,
        context: &Context,
        started: &Started,
        challenged: &Challenged,
        message: &str,
    ) -> Turn {
        let last = ClientFinal::parse(message)?;
        let mut binding = started.gs2_header.clone().into_bytes();
        binding.extend_from_slice(
            started.binding.and_then(|b| context.bindings.data(b)).unwrap_or_default(),
        );
        if !bool::from(binding.ct_eq(&last.binding)) {
            return Err(Failure::not_authorized(Reason::BindingData));
        }
        if last.nonce != started.nonce {
            return Err(Failure::not_authorized(Reason::Nonce));
        }
        let covered: [&[u8]; 5] = [
            started.client_first_bare.as_bytes(),
            b",",
            challenged.server_first.as_bytes(),
            b",",
            last.without_proof.as_bytes(),
        ];
        let signature = challenged.keys.verify_proof(&covered, &last.proof);
        let signature = signature.filter(|_| challenged.known);
        let signature = signature.ok_or(Failure::not_authorized(Reason::Credentials))?;
        let success = Success {
            identity: started.account.clone(),
            mechanism: Mechanism::Scram { hash: self.hash, plus: self.plus },
            binding: started.binding,
            data: Some(format!("v={}", encoding::encode(&signature)).into_bytes()),
            token: None,
        };
        Ok((Machine::Finished, Step::Done(success)))
    }
}

/// The rules of RFC 5802, section 6: the header must fit the mechanism, the type must be one
/// that was offered, and a client that could bind must not have been told that we cannot.
fn choose_binding(
    context: &Context,
    plus: bool,
    header: &Gs2Header<'_>,
) -> Result<Option<BindingType>, Failure> {
    match (header.flag, plus) {
        (BindingFlag::Used(name), true) => {
            let offered = |binding: &BindingType| {
                context.offer.bindings.contains(binding)
                    && context.bindings.data(*binding).is_some()
            };
            let binding = BindingType::from_name(name).filter(offered);
            let refused = Failure::malformed(Reason::BindingTypeNotOffered);
            binding.map(Some).ok_or(refused)
        }
        (BindingFlag::Used(_), false) | (_, true) => {
            Err(Failure::malformed(Reason::BindingMismatch))
        }
        (BindingFlag::NotOffered, false) if context.offer.has_scram_plus() => {
            Err(Failure::not_authorized(Reason::BindingDowngrade))
        }
        (BindingFlag::NotOffered | BindingFlag::Unsupported, false) => Ok(None),
    }
}
