//! How stream management begins on a stream that we open (XEP-0198, sections 3 and 5).

use wello_wire::error::StreamCondition;
use wello_wire::ns;
use wello_wire::xml::Element;

use super::{Outgoing, Phase};
use crate::sm::{self, StreamManagement, handled_count, has_resumption};

impl Outgoing {
    /// Stream management comes first, if there is any.
    pub(super) fn manage(&mut self) {
        self.phase = Phase::Managing;
        if !self.manageable {
            self.give_up_former(None);
            return self.become_ready();
        }
        match &self.former {
            Some(former) => {
                let request = sm::resume(&former.management);
                self.exchange.output().element(&request);
            }
            None => self.enable(),
        }
    }

    fn enable(&mut self) {
        let mut enable = Element::new("enable", ns::SM);
        if !self.settings.resumption.is_zero() {
            enable.set_attr("resume", "true");
        }
        self.output().element(&enable);
    }

    pub(super) fn handle_managed(&mut self, answer: &Element) {
        match (answer.name(), self.former.is_some()) {
            ("enabled", false) => {
                let id = answer.attr("id").filter(|_| has_resumption(answer));
                let management = StreamManagement::new(id.unwrap_or("").into(), id.is_some());
                self.exchange.manage(management);
                self.become_ready();
            }
            ("failed", false) => self.become_ready(),
            ("resumed", true) => self.handle_resumed(answer),
            ("failed", true) => {
                self.give_up_former(handled_count(answer));
                self.enable();
            }
            _ => self.fail(StreamCondition::UnsupportedStanzaType.into()),
        }
    }

    fn handle_resumed(&mut self, resumed: &Element) {
        let Some(h) = handled_count(resumed) else {
            return self.fail(StreamCondition::BadFormat.into());
        };
        let Some(former) = self.former.take() else { return };
        match self.exchange.resume(former, h) {
            Ok(()) => {
                self.exchange.resend();
                self.become_ready();
            }
            Err(error) => self.fail(error),
        }
    }

    fn give_up_former(&mut self, h: Option<u32>) {
        if let Some(former) = self.former.take() {
            self.exchange.give_up(former, h);
        }
    }
}
