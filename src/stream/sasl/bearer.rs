//! OAUTHBEARER (RFC 7628).

use std::fmt::Write;

use wello_wire::jid::BareJid;

use super::failure::{Condition, Failure, Reason};
use super::gs2::{BindingFlag, Gs2Header};
use super::mechanism::Mechanism;
use super::secret::Secret;
use super::{Answer, Context, Lookup, Machine, Step, Success, Turn, identity};

/// What a client without a usable token is told (RFC 7628, section 3.2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BearerHints {
    /// OAuth scope that a token needs.
    pub scope: Option<String>,
    /// URL of the provider's OpenID configuration.
    pub openid_configuration: Option<String>,
}

/// The server side of one OAUTHBEARER exchange.
#[derive(Default)]
pub(super) struct Bearer {
    state: State,
}

#[derive(Default)]
enum State {
    #[default]
    First,
    Asked {
        authzid: Option<BareJid>,
    },
    /// The client has been told why; its answer does not matter (RFC 7628, section 3.2.3).
    Refused(Failure),
}

impl Bearer {
    pub(super) fn receive(self, context: &Context, message: &[u8]) -> Turn {
        match self.state {
            State::First => first(context, message),
            State::Asked { .. } => Err(Failure::malformed(Reason::OutOfTurn)),
            State::Refused(failure) => Err(failure),
        }
    }

    pub(super) fn answer(self, context: &Context, answer: Answer) -> Turn {
        let (State::Asked { authzid }, Answer::Verdict(verdict)) = (self.state, answer) else {
            return Err(Failure::UNAVAILABLE);
        };
        match verdict {
            Ok(account) => {
                let authzid = authzid.as_ref().map(|jid| jid.as_str());
                identity::check_authzid(authzid, &account, context.claimed.as_ref())?;
                let success = Success::new(Mechanism::OauthBearer, account);
                Ok((Machine::Finished, Step::Done(success)))
            }
            Err(failure) if is_about_the_token(failure.condition) => Ok(refuse(context, failure)),
            Err(failure) => Err(failure),
        }
    }
}

fn first(context: &Context, message: &[u8]) -> Turn {
    let message = std::str::from_utf8(message);
    let message = message.map_err(|_| Failure::malformed(Reason::NotUtf8))?;
    let message = Message::parse(message)?;
    let authzid = match message.authzid.as_deref() {
        Some(authzid) => Some(requested_account(context, authzid)?),
        None => None,
    };
    // Clients ask for the hints by sending no token (RFC 7628, section 4.3).
    let Some(token) = message.token else {
        return Ok(refuse(context, Failure::not_authorized(Reason::Credentials)));
    };
    let lookup = Lookup::Bearer { authzid: authzid.clone(), token: Secret::new(token) };
    Ok((Machine::Bearer(Bearer { state: State::Asked { authzid } }), Step::Lookup(lookup)))
}

/// Here the authorization identity is the name of the user, so a bare user name will do.
fn requested_account(context: &Context, authzid: &str) -> Result<BareJid, Failure> {
    const FOREIGN: Failure = Failure::new(Condition::InvalidAuthzid, Reason::ForeignAuthzid);
    identity::account(authzid, &context.domain).map_err(|_| FOREIGN)
}

fn is_about_the_token(condition: Condition) -> bool {
    matches!(condition, Condition::NotAuthorized | Condition::CredentialsExpired)
}

fn refuse(context: &Context, failure: Failure) -> (Machine, Step) {
    let bearer = Bearer { state: State::Refused(failure) };
    (Machine::Bearer(bearer), Step::Challenge(context.bearer.error().into_bytes()))
}

impl BearerHints {
    /// The JSON object of a refusal.
    fn error(&self) -> String {
        let mut json = r#"{"status":"invalid_token""#.to_owned();
        let hints = [("scope", &self.scope), ("openid-configuration", &self.openid_configuration)];
        for (name, value) in hints {
            if let Some(value) = value {
                json.push_str(&format!(",\"{name}\":"));
                push_json_string(&mut json, value);
            }
        }
        json.push('}');
        json
    }
}

fn push_json_string(json: &mut String, text: &str) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            // Writing to a string does not fail.
            c if c < ' ' => _ = write!(json, "\\u{:04x}", u32::from(c)),
            c => json.push(c),
        }
    }
    json.push('"');
}

/// `client-resp` of RFC 7628, section 3.1.
struct Message<'a> {
    authzid: Option<String>,
    token: Option<&'a str>,
}

impl<'a> Message<'a> {
    fn parse(message: &'a str) -> Result<Message<'a>, Failure> {
        if message == "\x01" {
            return Ok(Message { authzid: None, token: None });
        }
        let (header, pairs) = Gs2Header::split(message)?;
        if matches!(header.flag, BindingFlag::Used(_)) {
            return Err(Failure::malformed(Reason::BindingMismatch));
        }
        let pairs = pairs.strip_prefix('\x01').and_then(|rest| rest.strip_suffix('\x01'));
        let mut authorization = None;
        for pair in pairs.ok_or(SYNTAX)?.split_terminator('\x01') {
            let (key, value) = pair.split_once('=').ok_or(SYNTAX)?;
            if key.is_empty() || !key.bytes().all(|c| c.is_ascii_alphabetic()) {
                return Err(SYNTAX);
            }
            // Other keys repeat what we know (`host`, `port`) or are for other mechanisms.
            if key == "auth" && authorization.replace(value).is_some() {
                return Err(SYNTAX);
            }
        }
        let token =
            authorization.filter(|value| !value.is_empty()).map(bearer_token).transpose()?;
        Ok(Message { authzid: header.authzid, token })
    }
}

/// `credentials` of RFC 6750, section 2.1; the scheme is case-insensitive (RFC 9110, section
/// 11.1).
fn bearer_token(authorization: &str) -> Result<&str, Failure> {
    let (scheme, token) = authorization.split_once(' ').ok_or(SYNTAX)?;
    let token = token.trim_start_matches(' ');
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b"-._~+/".contains(&c);
    let text = token.trim_end_matches('=');
    match scheme.eq_ignore_ascii_case("bearer") && !text.is_empty() && text.bytes().all(allowed) {
        true => Ok(token),
        false => Err(SYNTAX),
    }
}

const SYNTAX: Failure = Failure::malformed(Reason::Syntax);
