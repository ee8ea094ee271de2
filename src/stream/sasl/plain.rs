//! PLAIN (RFC 4616).

use super::failure::{Failure, Reason};
use super::mechanism::Mechanism;
use super::password::MAX_PASSWORD;
use super::secret::Secret;
use super::{Answer, Context, Lookup, Machine, Step, Success, Turn, identity};

/// The server side of one PLAIN exchange.
#[derive(Default)]
pub(super) struct Plain {
    asked: bool,
}

impl Plain {
    pub(super) fn receive(self, context: &Context, message: &[u8]) -> Turn {
        if self.asked {
            return Err(Failure::malformed(Reason::OutOfTurn));
        }
        let message = Message::parse(message)?;
        let account = identity::account(message.authcid, &context.domain)?;
        identity::check_authzid(Some(message.authzid), &account, context.claimed.as_ref())?;
        let password = Secret::new(message.password);
        let plain = Plain { asked: true };
        Ok((Machine::Plain(plain), Step::Lookup(Lookup::Password { account, password })))
    }

    pub(super) fn answer(self, answer: Answer) -> Turn {
        match answer {
            Answer::Verdict(verdict) if self.asked => {
                let success = Success::new(Mechanism::Plain, verdict?);
                Ok((Machine::Finished, Step::Done(success)))
            }
            _ => Err(Failure::UNAVAILABLE),
        }
    }
}

/// `message = [authzid] UTF8NUL authcid UTF8NUL passwd`
struct Message<'a> {
    authzid: &'a str,
    authcid: &'a str,
    password: &'a str,
}

impl<'a> Message<'a> {
    fn parse(message: &'a [u8]) -> Result<Message<'a>, Failure> {
        let message = std::str::from_utf8(message);
        let message = message.map_err(|_| Failure::malformed(Reason::NotUtf8))?;
        let mut parts = message.split('\0');
        let parts = (parts.next(), parts.next(), parts.next(), parts.next());
        let (Some(authzid), Some(authcid), Some(password), None) = parts else {
            return Err(Failure::malformed(Reason::Syntax));
        };
        if authcid.is_empty() || password.is_empty() {
            return Err(Failure::malformed(Reason::Syntax));
        }
        match password.len() <= MAX_PASSWORD {
            true => Ok(Message { authzid, authcid, password }),
            false => Err(Failure::malformed(Reason::TooLong)),
        }
    }
}
