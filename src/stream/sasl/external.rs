//! EXTERNAL (RFC 4422, appendix A): the peer is who its certificate says.

use wello_wire::jid::BareJid;

use super::failure::{Condition, Failure, Reason};
use super::mechanism::Mechanism;
use super::{Answer, Context, Lookup, Machine, Step, Success, Turn, identity};

/// The server side of one EXTERNAL exchange, of a client or of another server.
#[derive(Default)]
pub(super) struct External {
    asked: Option<Asked>,
}

struct Asked {
    authzid: Option<BareJid>,
}

impl External {
    pub(super) fn receive(self, message: &[u8]) -> Turn {
        if self.asked.is_some() {
            return Err(Failure::malformed(Reason::OutOfTurn));
        }
        let authzid = std::str::from_utf8(message);
        let authzid = authzid.map_err(|_| Failure::malformed(Reason::NotUtf8))?;
        let authzid = match authzid {
            "" => None,
            // A NUL is against the grammar; no address contains one.
            text => Some(text.parse::<BareJid>().map_err(|_| FOREIGN)?),
        };
        let lookup = Lookup::Certificate { authzid: authzid.clone() };
        let external = External { asked: Some(Asked { authzid }) };
        Ok((Machine::External(external), Step::Lookup(lookup)))
    }

    pub(super) fn answer(self, context: &Context, answer: Answer) -> Turn {
        match (self.asked, answer) {
            (Some(Asked { authzid }), Answer::Verdict(verdict)) => {
                let peer = verdict?;
                let authzid = authzid.as_ref().map(|jid| jid.as_str());
                identity::check_authzid(authzid, &peer, context.claimed.as_ref())?;
                let success = Success::new(Mechanism::External, peer);
                Ok((Machine::Finished, Step::Done(success)))
            }
            _ => Err(Failure::UNAVAILABLE),
        }
    }
}

const FOREIGN: Failure = Failure::new(Condition::InvalidAuthzid, Reason::ForeignAuthzid);
