//! Presence subscriptions as a pure state machine (RFC 6121, section 3 and appendix A).

use wello_store::{RosterItem, Subscription};
use wello_wire::stanza::PresenceType;

/// What the server knows of one contact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub subscription: Subscription,
    /// The owner asked and waits ("pending out").
    pub ask: bool,
    /// The contact asked and waits ("pending in").
    pub requested: bool,
    /// The owner said yes before being asked (section 3.4).
    pub approved: bool,
}

/// What is done with a subscription stanza.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub state: State,
    /// Outbound: route it to the contact. Inbound: deliver it to the owner's clients.
    pub pass: bool,
    /// Inbound `subscribe` that is answered `subscribed` without asking the owner.
    pub approve: bool,
}

impl State {
    pub fn of(item: Option<&RosterItem>, requested: bool) -> State {
        match item {
            None => State { requested, ..State::default() },
            Some(item) => State {
                subscription: item.subscription,
                ask: item.ask,
                requested,
                approved: item.approved,
            },
        }
    }

    fn to(self) -> bool {
        matches!(self.subscription, Subscription::To | Subscription::Both)
    }

    fn from(self) -> bool {
        matches!(self.subscription, Subscription::From | Subscription::Both)
    }

    fn with(self, to: bool, from: bool) -> State {
        let subscription = match (to, from) {
            (false, false) => Subscription::None,
            (true, false) => Subscription::To,
            (false, true) => Subscription::From,
            (true, true) => Subscription::Both,
        };
        State { subscription, ..self }
    }
}

/// A stanza from one of the owner's clients (appendix A.2).
pub fn outbound(type_: PresenceType, state: State) -> Verdict {
    let (to, from) = (state.to(), state.from());
    let (pass, state) = match type_ {
        PresenceType::Subscribe => (true, State { ask: state.ask || !to, ..state }),
        PresenceType::Unsubscribe => (true, State { ask: false, ..state.with(false, from) }),
        PresenceType::Subscribed if state.requested => {
            (true, State { requested: false, approved: false, ..state.with(to, true) })
        }
        // Section 3.4.2: a yes in advance is kept and not sent.
        PresenceType::Subscribed => (false, State { approved: state.approved || !from, ..state }),
        PresenceType::Unsubscribed => {
            let denied = State { requested: false, approved: false, ..state.with(to, false) };
            (state.requested || from, denied)
        }
        _ => (false, state),
    };
    Verdict { state, pass, approve: false }
}

/// A stanza from the contact (appendix A.3).
pub fn inbound(type_: PresenceType, state: State) -> Verdict {
    let (to, from) = (state.to(), state.from());
    let unchanged = Verdict { state, pass: false, approve: false };
    match type_ {
        PresenceType::Subscribe if from => Verdict { approve: true, ..unchanged },
        PresenceType::Subscribe if state.approved => {
            let state = State { approved: false, requested: false, ..state.with(to, true) };
            Verdict { state, pass: false, approve: true }
        }
        PresenceType::Subscribe => {
            let pass = !state.requested;
            Verdict { state: State { requested: true, ..state }, pass, approve: false }
        }
        PresenceType::Unsubscribe if from || state.requested => {
            let state = State { requested: false, ..state.with(to, false) };
            Verdict { state, pass: true, approve: false }
        }
        PresenceType::Subscribed if state.ask => {
            let state = State { ask: false, ..state.with(true, from) };
            Verdict { state, pass: true, approve: false }
        }
        PresenceType::Unsubscribed if to || state.ask => {
            let state = State { ask: false, ..state.with(false, from) };
            Verdict { state, pass: true, approve: false }
        }
        _ => unchanged,
    }
}

#[cfg(test)]
mod tests {
    use PresenceType::{Subscribe, Subscribed, Unsubscribe, Unsubscribed};

    use super::*;

    /// Such as `none`, `to+in`, `from+out`, `none+out+in`, `none+pre`.
    fn state(text: &str) -> State {
        let mut parts = text.split('+');
        let subscription = match parts.next().unwrap() {
            "none" => Subscription::None,
            "to" => Subscription::To,
            "from" => Subscription::From,
            "both" => Subscription::Both,
            other => panic!("{other}"),
        };
        let mut state = State { subscription, ..State::default() };
        for part in parts {
            match part {
                "out" => state.ask = true,
                "in" => state.requested = true,
                "pre" => state.approved = true,
                other => panic!("{other}"),
            }
        }
        state
    }

    type Row = (PresenceType, &'static str, bool, &'static str);

    fn check(rows: &[Row], decide: fn(PresenceType, State) -> Verdict) {
        for (type_, before, pass, after) in rows {
            let verdict = decide(*type_, state(before));
            assert_eq!(verdict.state, state(after), "{type_:?} in {before}");
            assert_eq!(verdict.pass, *pass, "{type_:?} in {before}");
        }
    }

    #[test]
    fn appendix_a_2() {
        check(
            &[
                (Subscribe, "none", true, "none+out"),
                (Subscribe, "none+out", true, "none+out"),
                (Subscribe, "none+in", true, "none+out+in"),
                (Subscribe, "none+out+in", true, "none+out+in"),
                (Subscribe, "to", true, "to"),
                (Subscribe, "to+in", true, "to+in"),
                (Subscribe, "from", true, "from+out"),
                (Subscribe, "from+out", true, "from+out"),
                (Subscribe, "both", true, "both"),
                (Unsubscribe, "none", true, "none"),
                (Unsubscribe, "none+out", true, "none"),
                (Unsubscribe, "none+in", true, "none+in"),
                (Unsubscribe, "none+out+in", true, "none+in"),
                (Unsubscribe, "to", true, "none"),
                (Unsubscribe, "to+in", true, "none+in"),
                (Unsubscribe, "from", true, "from"),
                (Unsubscribe, "from+out", true, "from"),
                (Unsubscribe, "both", true, "from"),
                (Subscribed, "none", false, "none+pre"),
                (Subscribed, "none+out", false, "none+out+pre"),
                (Subscribed, "none+in", true, "from"),
                (Subscribed, "none+out+in", true, "from+out"),
                (Subscribed, "to", false, "to+pre"),
                (Subscribed, "to+in", true, "both"),
                (Subscribed, "from", false, "from"),
                (Subscribed, "both", false, "both"),
                (Unsubscribed, "none", false, "none"),
                (Unsubscribed, "none+pre", false, "none"),
                (Unsubscribed, "none+in", true, "none"),
                (Unsubscribed, "none+out+in", true, "none+out"),
                (Unsubscribed, "to", false, "to"),
                (Unsubscribed, "to+in", true, "to"),
                (Unsubscribed, "from", true, "none"),
                (Unsubscribed, "from+out", true, "none+out"),
                (Unsubscribed, "both", true, "to"),
            ],
            outbound,
        );
    }

    #[test]
    fn appendix_a_3() {
        check(
            &[
                (Subscribe, "none", true, "none+in"),
                (Subscribe, "none+out", true, "none+out+in"),
                (Subscribe, "none+in", false, "none+in"),
                (Subscribe, "to", true, "to+in"),
                (Subscribe, "to+in", false, "to+in"),
                (Subscribe, "from", false, "from"),
                (Subscribe, "both", false, "both"),
                (Subscribe, "none+pre", false, "from"),
                (Subscribe, "to+pre", false, "both"),
                (Unsubscribe, "none", false, "none"),
                (Unsubscribe, "none+in", true, "none"),
                (Unsubscribe, "none+out+in", true, "none+out"),
                (Unsubscribe, "to", false, "to"),
                (Unsubscribe, "to+in", true, "to"),
                (Unsubscribe, "from", true, "none"),
                (Unsubscribe, "from+out", true, "none+out"),
                (Unsubscribe, "both", true, "to"),
                (Subscribed, "none", false, "none"),
                (Subscribed, "none+out", true, "to"),
                (Subscribed, "none+in", false, "none+in"),
                (Subscribed, "none+out+in", true, "to+in"),
                (Subscribed, "to", false, "to"),
                (Subscribed, "from", false, "from"),
                (Subscribed, "from+out", true, "both"),
                (Subscribed, "both", false, "both"),
                (Unsubscribed, "none", false, "none"),
                (Unsubscribed, "none+out", true, "none"),
                (Unsubscribed, "none+out+in", true, "none+in"),
                (Unsubscribed, "to", true, "none"),
                (Unsubscribed, "to+in", true, "none+in"),
                (Unsubscribed, "from", false, "from"),
                (Unsubscribed, "from+out", true, "from"),
                (Unsubscribed, "both", true, "from"),
            ],
            inbound,
        );
        assert!(inbound(Subscribe, state("from")).approve);
        assert!(inbound(Subscribe, state("none+pre")).approve);
        assert!(!inbound(Subscribe, state("none")).approve);
    }
}
