//! Commands that have begun and wait for a form to be filled in.

use std::collections::HashMap;

use parking_lot::Mutex;
use wello_kernel::clock::random_id;
use wello_store::Timestamp;
use wello_wire::jid::Jid;
use wello_wire::payload::command::{Action, CommandError};
use wello_wire::payload::data_form::DataForm;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The form of this stage.
    Show(usize),
    /// All is filled in.
    Run,
    Cancel,
}

/// XEP-0050, section 3.4: what an action means at a stage (`None`: before the first one).
pub(super) fn decide(
    stage: Option<usize>,
    stages: usize,
    action: Action,
) -> Result<Step, CommandError> {
    let Some(stage) = stage else {
        return match action {
            Action::Execute if stages == 0 => Ok(Step::Run),
            Action::Execute => Ok(Step::Show(0)),
            Action::Cancel | Action::Complete | Action::Next | Action::Prev => {
                Err(CommandError::BadAction)
            }
        };
    };
    let is_last = stage + 1 >= stages;
    match action {
        Action::Cancel => Ok(Step::Cancel),
        Action::Execute | Action::Complete if is_last => Ok(Step::Run),
        Action::Execute | Action::Next if !is_last => Ok(Step::Show(stage + 1)),
        Action::Prev if stage > 0 => Ok(Step::Show(stage - 1)),
        Action::Execute | Action::Complete | Action::Next | Action::Prev => {
            Err(CommandError::BadAction)
        }
    }
}

/// A command that somebody has begun.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) id: String,
    node: &'static str,
    /// Nobody else may go on with it.
    owner: Jid,
    /// The form that waits to be filled in; `None` when none was shown yet.
    pub(super) stage: Option<usize>,
    /// What was filled in, by stage.
    filled: Vec<DataForm>,
    touched: Timestamp,
}

impl Begun {
    pub(super) fn new(node: &'static str, owner: Jid) -> Begun {
        let touched = Timestamp::default();
        Begun { id: random_id(), node, owner, stage: None, filled: Vec::new(), touched }
    }

    /// Goes to another stage with what was filled in at this one.
    pub(super) fn at(mut self, stage: usize, filled: Option<DataForm>) -> Begun {
        if self.stage.is_some_and(|old| stage > old) {
            self.filled.extend(filled);
        } else {
            self.filled.truncate(stage);
        }
        self.stage = Some(stage);
        self
    }

    /// All forms, the last one being `last`.
    pub(super) fn filled(mut self, last: Option<DataForm>) -> Vec<DataForm> {
        self.filled.extend(last);
        self.filled
    }
}

/// All of them, by id.
#[derive(Default)]
pub(super) struct Running {
    begun: Mutex<HashMap<String, Begun>>,
}

/// At once; the one that waited longest gives way.
const MAX_RUNNING: usize = 100;
/// How long a form may take to be filled in.
const PATIENCE_MICROS: i64 = 30 * 60 * 1_000_000;

impl Running {
    /// Takes a command out to go on with it.
    pub(super) fn take(
        &self,
        id: &str,
        node: &str,
        owner: &Jid,
        now: Timestamp,
    ) -> Result<Begun, CommandError> {
        let mut all = self.begun.lock();
        let begun = all.get(id).filter(|begun| begun.node == node && begun.owner == *owner);
        let begun = begun.ok_or(CommandError::BadSessionId)?;
        let expired = begun.touched.plus_micros(PATIENCE_MICROS) < now;
        match all.remove(id) {
            Some(begun) if !expired => Ok(begun),
            _ => Err(CommandError::SessionExpired),
        }
    }

    /// Keeps a command until its form is filled in. One that never showed a form is not kept.
    pub(super) fn put_back(&self, begun: Begun, now: Timestamp) {
        if begun.stage.is_none() {
            return;
        }
        let mut all = self.begun.lock();
        if all.len() >= MAX_RUNNING {
            let oldest = all.values().min_by_key(|begun| begun.touched);
            if let Some(id) = oldest.map(|begun| begun.id.clone()) {
                all.remove(&id);
            }
        }
        all.insert(begun.id.clone(), Begun { touched: now, ..begun });
    }
}

#[cfg(test)]
mod tests {
    use wello_wire::payload::data_form::{Field, FormKind};

    use super::*;

    #[test]
    fn the_table_of_actions() {
        use Action::{Cancel, Complete, Execute, Next, Prev};
        let bad = Err(CommandError::BadAction);
        for (stage, stages, action, expected) in [
            (None, 0, Execute, Ok(Step::Run)),
            (None, 1, Execute, Ok(Step::Show(0))),
            (None, 1, Complete, bad),
            (None, 1, Cancel, bad),
            (Some(0), 1, Execute, Ok(Step::Run)),
            (Some(0), 1, Complete, Ok(Step::Run)),
            (Some(0), 1, Next, bad),
            (Some(0), 1, Prev, bad),
            (Some(0), 1, Cancel, Ok(Step::Cancel)),
            (Some(0), 2, Execute, Ok(Step::Show(1))),
            (Some(0), 2, Next, Ok(Step::Show(1))),
            (Some(0), 2, Complete, bad),
            (Some(1), 2, Prev, Ok(Step::Show(0))),
            (Some(1), 2, Execute, Ok(Step::Run)),
        ] {
            assert_eq!(decide(stage, stages, action), expected, "{stage:?}/{stages} {action:?}");
        }
    }

    fn owner(resource: &str) -> Jid {
        format!("a@b/{resource}").parse().unwrap()
    }

    fn begin(running: &Running, now: Timestamp) -> String {
        let begun = Begun::new("n", owner("1")).at(0, None);
        let id = begun.id.clone();
        running.put_back(begun, now);
        id
    }

    #[test]
    fn only_its_owner_goes_on_and_only_in_time() {
        let running = Running::default();
        let now = Timestamp::from_secs(1000);
        let id = begin(&running, now);
        let take = |node: &str, resource: &str, now| {
            running.take(&id, node, &owner(resource), now).map(|begun| begun.stage)
        };
        assert_eq!(take("n", "2", now), Err(CommandError::BadSessionId));
        assert_eq!(take("m", "1", now), Err(CommandError::BadSessionId));
        let late = now.plus_micros(PATIENCE_MICROS + 1);
        assert_eq!(take("n", "1", late), Err(CommandError::SessionExpired));
        assert_eq!(take("n", "1", now), Err(CommandError::BadSessionId));
        let id = begin(&running, now);
        assert!(running.take(&id, "n", &owner("1"), now).is_ok());
    }

    #[test]
    fn their_number_is_bounded() {
        let running = Running::default();
        let first = begin(&running, Timestamp::from_secs(0));
        for second in 1..=200 {
            begin(&running, Timestamp::from_secs(second));
        }
        assert_eq!(running.begun.lock().len(), MAX_RUNNING);
        assert!(!running.begun.lock().contains_key(&first));
    }

    #[test]
    fn going_back_drops_what_was_filled_in() {
        let form = |value: &str| {
            Some(DataForm::new(FormKind::Submit).with(Field::untyped("x").with_value(value)))
        };
        let begun = Begun::new("n", owner("1")).at(0, None).at(1, form("a")).at(0, None);
        let filled = begun.at(1, form("b")).filled(form("c"));
        let values: Vec<_> = filled.iter().map(|form| form.value("x")).collect();
        assert_eq!(values, [Some("b"), Some("c")]);
    }
}
