//! IQs that the server itself asks, and the wait for their answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use wello_wire::jid::Jid;
use wello_wire::stanza::{IqType, Stanza};
use wello_wire::xml::Element;

use crate::Kernel;
use crate::clock::random_id;

/// Questions under way, by id and the address that may answer.
#[derive(Default)]
pub struct Questions {
    waiting: Mutex<HashMap<(String, Jid), oneshot::Sender<Stanza>>>,
}

/// More than these at once are not asked.
const MAX_WAITING: usize = 10_000;

impl Questions {
    /// Whether this answers a question of the server's.
    pub(crate) fn expects(&self, answer: &Stanza) -> bool {
        let (Some(id), Some(from)) = (&answer.id, &answer.from) else { return false };
        self.waiting.lock().contains_key(&(id.to_string(), from.clone()))
    }

    /// Takes a result or an error that came to one of the server's own addresses.
    pub(crate) fn handle_answer(&self, stanza: Stanza) {
        let (Some(id), Some(from)) = (&stanza.id, &stanza.from) else { return };
        let key = (id.to_string(), from.clone());
        if let Some(waiting) = self.waiting.lock().remove(&key) {
            // Whoever asked may have given up meanwhile.
            let _ = waiting.send(stanza);
        }
    }
}

impl Kernel {
    /// Asks `to` from one of our addresses and waits for the answer. `None` when none comes in
    /// time or it cannot be asked.
    pub async fn ask(
        self: &Arc<Self>,
        from: Jid,
        to: Jid,
        type_: IqType,
        payload: Element,
        patience: Duration,
    ) -> Option<Stanza> {
        let id = random_id();
        let key = (id.clone(), to.clone());
        let (sender, answer) = oneshot::channel();
        {
            let mut waiting = self.questions.waiting.lock();
            if waiting.len() >= MAX_WAITING {
                return None;
            }
            waiting.insert(key.clone(), sender);
        }
        let question = Stanza::iq(type_, id).with_from(from).with_to(to).with_child(payload);
        self.route(question).await;
        let answer = tokio::time::timeout(patience, answer).await;
        self.questions.waiting.lock().remove(&key);
        answer.ok()?.ok()
    }
}
