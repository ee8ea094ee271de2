//! The server side of SASL as state machines without I/O, for RFC 6120 and XEP-0388 alike.
//!
//! The caller hands in what the peer sent, decoded by [`encoding`], and does what the returned
//! [`Step`] says; questions about accounts come as [`Lookup`] and are answered with [`Answer`].

mod bearer;
pub mod encoding;
mod external;
mod failure;
mod fake;
mod gs2;
mod hash;
mod ht;
mod identity;
mod mechanism;
mod password;
mod plain;
mod scram;
mod secret;
#[cfg(test)]
pub(crate) mod tests;
mod upgrade;

use std::sync::Arc;

use wello_wire::jid::BareJid;

use bearer::Bearer;
use external::External;
use ht::HashedToken;
use plain::Plain;
use scram::Scram;

pub use bearer::BearerHints;
pub use failure::{Condition, Failure, Reason};
pub use fake::FakeKeys;
pub use hash::ScramHash;
pub use mechanism::{BindingType, ChannelBindings, HtBinding, Mechanism, Offer};
pub use password::{MAX_PASSWORD, PasswordError, password_forms};
pub use scram::{DEFAULT_ITERATIONS, KeyError, MAX_ITERATIONS, MIN_ITERATIONS, ScramKeys};
pub use secret::Secret;
pub use upgrade::Upgrade;

/// Octets of one SASL message, decoded. Certificates and tokens are the largest things in them.
pub const DEFAULT_MAX_MESSAGE: usize = 4096;

/// What an exchange needs to know about its stream.
#[derive(Clone, Debug)]
pub struct Context {
    /// The domain that the stream serves.
    pub domain: BareJid,
    /// The address in the peer's stream header. XEP-0388 demands that an authorization identity
    /// equals it.
    pub claimed: Option<BareJid>,
    pub offer: Arc<Offer>,
    pub bindings: ChannelBindings,
    pub fakes: FakeKeys,
    /// Whether SCRAM carries the `h` attribute of XEP-0474, version 0.5.
    pub downgrade_protection: bool,
    pub bearer: BearerHints,
    /// Octets of one message; see [`DEFAULT_MAX_MESSAGE`].
    pub max_message: usize,
}

/// What the caller does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send a challenge with this data, hand the response to [`Exchange::handle_response`].
    Challenge(Vec<u8>),
    /// Find out, hand the result to [`Exchange::handle_answer`]. Read nothing from the peer in
    /// the meantime.
    Lookup(Lookup),
    /// The peer has proved who it is. Whether the account may be used at all is for the caller
    /// to say, and only now.
    Done(Success),
    Failed(Failure),
}

/// A question to the store or the account service.
#[derive(Debug, PartialEq, Eq)]
pub enum Lookup {
    /// To be answered by [`Answer::ScramKeys`].
    ScramKeys { account: BareJid, hash: ScramHash },
    /// To be answered by [`Answer::Verdict`]. To an unknown account, spend the time of a real
    /// check before refusing.
    Password { account: BareJid, password: Secret },
    /// To be answered by [`Answer::Verdict`]: whose token this is. The account that the client
    /// wants is compared afterwards; it is given to choose a provider.
    Bearer { authzid: Option<BareJid>, token: Secret },
    /// To be answered by [`Answer::FastTokens`].
    FastTokens { account: BareJid, mechanism: Mechanism },
    /// To be answered by [`Answer::Verdict`]: whom the verified certificate of the TLS peer
    /// names, an account or another server. If it names several, `authzid` chooses; without it
    /// the stream header does.
    Certificate { authzid: Option<BareJid> },
}

/// The answer to a [`Lookup`].
#[derive(Debug)]
pub enum Answer {
    /// `None` if there is no such account, or none with keys for this hash.
    ScramKeys(Option<ScramKeys>),
    Verdict(Verdict),
    /// The tokens that were issued to this account, this client (by the id of its
    /// `<user-agent/>`) and for this mechanism; empty if there are none. Expired ones can be
    /// among them: [`Success::token`] tells the caller to answer `credentials-expired`, which
    /// only the holder may learn. The `count` of XEP-0484 is checked then, too.
    FastTokens(Vec<Secret>),
    /// The store or the account service does not work.
    Unavailable,
}

/// Who the peer is, or why it is not believed.
pub type Verdict = Result<BareJid, Failure>;

/// An authenticated peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Success {
    /// The account, or the domain of another server.
    pub identity: BareJid,
    pub mechanism: Mechanism,
    /// What the authentication is bound to.
    pub binding: Option<BindingType>,
    /// The additional data with success (RFC 4422, section 3.6).
    pub data: Option<Vec<u8>>,
    /// Which of the tokens in [`Answer`] the peer has.
    pub token: Option<usize>,
}

/// One authentication from the first message to [`Step::Done`] or [`Step::Failed`].
pub struct Exchange {
    context: Context,
    machine: Machine,
}

impl Exchange {
    /// Begins with the client's choice. `initial` is `None` if there was no initial response,
    /// which then is asked for with an empty challenge (RFC 4422, section 3.3).
    pub fn start(
        mechanism: Mechanism,
        initial: Option<&[u8]>,
        context: Context,
    ) -> (Exchange, Step) {
        let mut exchange = Exchange { context, machine: Machine::Finished };
        let step = match Machine::new(mechanism, &exchange.context) {
            Ok(machine) => {
                exchange.machine = machine;
                match initial {
                    Some(message) => exchange.handle_response(message),
                    None => Step::Challenge(Vec::new()),
                }
            }
            Err(failure) => Step::Failed(failure),
        };
        (exchange, step)
    }

    /// Takes the data of a response to the last challenge.
    pub fn handle_response(&mut self, message: &[u8]) -> Step {
        let machine = std::mem::replace(&mut self.machine, Machine::Finished);
        if message.len() > self.context.max_message {
            return Step::Failed(Failure::malformed(Reason::TooLong));
        }
        let turn = match machine {
            Machine::Scram(scram) => scram.receive(&self.context, message),
            Machine::Plain(plain) => plain.receive(&self.context, message),
            Machine::External(external) => external.receive(message),
            Machine::Bearer(bearer) => bearer.receive(&self.context, message),
            Machine::HashedToken(token) => token.receive(&self.context, message),
            Machine::Finished => Err(Failure::malformed(Reason::OutOfTurn)),
        };
        self.take(turn)
    }

    /// Takes the answer to the last lookup.
    pub fn handle_answer(&mut self, answer: Answer) -> Step {
        let turn = match std::mem::replace(&mut self.machine, Machine::Finished) {
            Machine::Scram(scram) => scram.answer(&self.context, answer),
            Machine::Plain(plain) => plain.answer(answer),
            Machine::External(external) => external.answer(&self.context, answer),
            Machine::Bearer(bearer) => bearer.answer(&self.context, answer),
            Machine::HashedToken(token) => token.answer(&self.context, answer),
            Machine::Finished => Err(Failure::UNAVAILABLE),
        };
        self.take(turn)
    }

    fn take(&mut self, turn: Turn) -> Step {
        match turn {
            Ok((machine, step)) => {
                self.machine = machine;
                step
            }
            Err(failure) => Step::Failed(failure),
        }
    }
}

/// The state of the mechanism that was chosen.
enum Machine {
    Scram(Box<Scram>),
    Plain(Plain),
    External(External),
    Bearer(Bearer),
    HashedToken(HashedToken),
    Finished,
}

/// One step of a mechanism: the state after it and what to do.
type Turn = Result<(Machine, Step), Failure>;

impl Machine {
    fn new(mechanism: Mechanism, context: &Context) -> Result<Machine, Failure> {
        if !context.offer.contains(mechanism) {
            return Err(Failure::new(Condition::InvalidMechanism, Reason::MechanismNotOffered));
        }
        Ok(match mechanism {
            Mechanism::Scram { hash, plus } => {
                Machine::Scram(Box::new(Scram::new(hash, plus, random_nonce()?)))
            }
            Mechanism::Plain => Machine::Plain(Plain::default()),
            Mechanism::External => Machine::External(External::default()),
            Mechanism::OauthBearer => Machine::Bearer(Bearer::default()),
            Mechanism::HtSha256(binding) => Machine::HashedToken(HashedToken::new(binding)),
        })
    }
}

impl Success {
    fn new(mechanism: Mechanism, identity: BareJid) -> Success {
        Success { identity, mechanism, binding: None, data: None, token: None }
    }
}

/// 144 random bits in base64, whose alphabet has no comma.
fn random_nonce() -> Result<String, Failure> {
    let mut nonce = [0; 18];
    getrandom::fill(&mut nonce).map_err(|_| Failure::UNAVAILABLE)?;
    Ok(encoding::encode(&nonce))
}
