//! SCRAM upgrade tasks between authentication and success (XEP-0480).

use std::collections::VecDeque;

use wello_wire::xml::Element;

use super::completion::Completion;
use super::negotiation::{Negotiation, ProfileKind, Stage};
use super::{Action, C2s};
use crate::nonza::{Continue, Sasl2, read_hash, salt};
use crate::sasl::{Condition, DEFAULT_MAX_MESSAGE, Failure, Reason, ScramHash, Upgrade};

/// A client that is to compute keys before it is let in.
pub(super) struct Upgrading {
    completion: Completion,
    /// The task that was named in `<continue/>`.
    hash: ScramHash,
    /// After `<next/>`: what the client is to compute with.
    task: Option<Upgrade>,
    /// Further tasks.
    rest: VecDeque<ScramHash>,
}

const OUT_OF_TURN: Failure = Failure::new(Condition::MalformedRequest, Reason::OutOfTurn);

impl C2s {
    /// Demands the upgrades one after the other, then completes the login.
    pub(super) fn start_upgrades(
        &mut self,
        mut negotiation: Negotiation,
        mut completion: Completion,
        mut hashes: VecDeque<ScramHash>,
    ) {
        let Some(hash) = hashes.pop_front() else { return self.complete(negotiation, completion) };
        let tasks = Upgrade::task_name(hash).map(str::to_owned).into_iter().collect();
        let additional_data = completion.data.take();
        let task = Continue { additional_data, tasks, text: None };
        self.output.element(&Sasl2::Continue(task).write());
        negotiation.continued = true;
        let upgrading = Upgrading { completion, hash, task: None, rest: hashes };
        negotiation.stage = Stage::Upgrading(Box::new(upgrading));
        self.wait(negotiation);
    }

    /// `<next/>`
    pub(super) fn start_task(&mut self, mut negotiation: Negotiation, name: &str) {
        let Stage::Upgrading(upgrading) = &mut negotiation.stage else { return self.forbid() };
        if upgrading.task.is_some() || Upgrade::task_name(upgrading.hash) != Some(name) {
            return self.fail_login(negotiation, ProfileKind::Sasl2, None, OUT_OF_TURN);
        }
        match Upgrade::start(upgrading.hash, self.settings.scram_iterations) {
            Ok(upgrade) => {
                self.output.element(&Sasl2::TaskData(vec![salt(&upgrade)]).write());
                upgrading.task = Some(upgrade);
                self.wait(negotiation);
            }
            Err(_) => {
                self.fail_login(negotiation, ProfileKind::Sasl2, None, Failure::UNAVAILABLE);
            }
        }
    }

    /// `<task-data/>`
    pub(super) fn finish_task(&mut self, mut negotiation: Negotiation, data: &[Element]) {
        let Stage::Upgrading(upgrading) = &mut negotiation.stage else { return self.forbid() };
        let keys = match upgrading.task.take() {
            Some(task) => read_hash(data, DEFAULT_MAX_MESSAGE).and_then(|hash| task.finish(&hash)),
            None => Err(OUT_OF_TURN),
        };
        match keys {
            Ok(keys) => {
                let identity = upgrading.completion.identity.clone();
                self.actions.push_back(Action::StoreKeys { identity, keys });
                self.wait(negotiation);
            }
            Err(failure) => self.fail_login(negotiation, ProfileKind::Sasl2, None, failure),
        }
    }

    /// The driver has stored the keys, or could not: the login does not depend on it.
    pub(super) fn finish_upgrade(&mut self, mut negotiation: Negotiation) {
        match std::mem::replace(&mut negotiation.stage, Stage::Offered) {
            Stage::Upgrading(upgrading) => {
                let Upgrading { completion, rest, .. } = *upgrading;
                self.start_upgrades(negotiation, completion, rest);
            }
            other => {
                negotiation.stage = other;
                self.wait(negotiation);
            }
        }
    }
}
