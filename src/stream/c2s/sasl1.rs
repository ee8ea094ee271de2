//! The SASL profile of RFC 6120, section 6.

use wello_wire::xml::Element;

use super::negotiation::{Authenticated, Negotiation, Profile, ProfileKind, Stage};
use super::{C2s, Phase};
use crate::nonza::Sasl1;
use crate::sasl::{Condition, DEFAULT_MAX_MESSAGE, Failure, Reason, Success};

impl C2s {
    pub(super) fn handle_sasl1(&mut self, negotiation: Negotiation, element: Element) {
        let Some(read) = Sasl1::read(element, DEFAULT_MAX_MESSAGE) else { return self.forbid() };
        let under_way = negotiation.stage.profile();
        let offered = matches!(negotiation.stage, Stage::Offered);
        if !offered && under_way != Some(ProfileKind::Sasl1) {
            return self.forbid();
        }
        let failure = match read {
            // RFC 6120, section 6.4.2: a new attempt discards the one under way.
            Ok(Sasl1::Auth { mechanism, initial }) => {
                let initial = initial.as_deref();
                return self.start_exchange(negotiation, Profile::Sasl1, &mechanism, initial);
            }
            Ok(Sasl1::Response(data)) if !offered => return self.respond(negotiation, &data),
            Ok(Sasl1::Abort) if !offered => Failure::ABORTED,
            Ok(_) => Failure::new(Condition::MalformedRequest, Reason::OutOfTurn),
            Err(failure) => failure,
        };
        self.fail_login(negotiation, ProfileKind::Sasl1, None, failure);
    }

    /// RFC 6120, section 6.4.6: after success the stream begins anew.
    pub(super) fn restart_authenticated(&mut self, success: Success) {
        self.output.element(&Sasl1::Success(success.data).write());
        self.input.set_limits(self.settings.limits);
        self.input.restart();
        self.output.restart();
        self.phase = Phase::Opening(Some(Authenticated { identity: success.identity }));
    }
}
