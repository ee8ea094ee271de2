//! Ad-hoc commands of the focus (XEP-0050).

use std::sync::Arc;

use wello_kernel::Kernel;
use wello_kernel::clock::random_id;
use wello_wire::error::StanzaError;
use wello_wire::jid::{FullJid, Jid};
use wello_wire::ns;
use wello_wire::payload::command::{Action, Command, CommandError, Status};
use wello_wire::payload::data_form::DataForm;
use wello_wire::payload::disco::{DiscoItem, DiscoItems};
use wello_wire::xml::Element;

use super::Calls;
use super::figures::FIGURES;
use super::recording::{PAUSE, RESUME, START, STOP, Turn};

/// Invites everybody in the room into the conference.
const RING: &str = "urn:wello:calls:0#ring";
/// All commands, and what they are called.
const COMMANDS: [(&str, &str); 6] = [
    (RING, "Ring everybody"),
    (FIGURES, "How the participants do"),
    (START, "Record the call"),
    (PAUSE, "Pause the recording"),
    (RESUME, "Go on with the recording"),
    (STOP, "End the recording"),
];

impl Calls {
    pub(super) async fn command(
        &self,
        kernel: &Arc<Kernel>,
        from: &Jid,
        to: &Jid,
        payload: &Element,
    ) -> Result<Element, StanzaError> {
        let command = Command::parse(payload).map_err(CommandError::from_parse)?;
        let id = command.session_id.unwrap_or_else(random_id);
        let answer = |status| Command::answer(command.node.clone(), id.clone(), status);
        if command.action == Action::Cancel {
            return Ok(answer(Status::Canceled).to_element());
        }
        let mut form = None;
        match command.node.as_str() {
            RING => self.ring_for(kernel, from, to).await?,
            FIGURES => form = Some(self.figures_for(kernel, from, to).await?),
            START => self.turn_recording(kernel, from, to, Turn::Begun).await?,
            PAUSE => self.turn_recording(kernel, from, to, Turn::Paused).await?,
            RESUME => self.turn_recording(kernel, from, to, Turn::Resumed).await?,
            STOP => self.turn_recording(kernel, from, to, Turn::Ended).await?,
            _ => return Err(StanzaError::item_not_found("no such command")),
        }
        Ok(Command { form, ..answer(Status::Completed) }.to_element())
    }

    async fn figures_for(
        &self,
        kernel: &Arc<Kernel>,
        from: &Jid,
        to: &Jid,
    ) -> Result<DataForm, StanzaError> {
        let hall = self.hall(to)?;
        match self.admit(&hall.place, &session(from)?)?.moderates {
            true => self.figures(kernel, &hall.place).await,
            false => Err(StanzaError::forbidden("only for moderators")),
        }
    }

    /// Who is in the conference may call the others.
    async fn ring_for(
        &self,
        kernel: &Arc<Kernel>,
        from: &Jid,
        to: &Jid,
    ) -> Result<(), StanzaError> {
        let hall = self.hall(to)?;
        let caller = session(from)?;
        let is_in = {
            let conferences = self.conferences.lock();
            conferences.get(&hall.place).is_some_and(|conference| conference.has_joined(&caller))
        };
        if !is_in {
            return Err(StanzaError::forbidden("only for who is in the conference"));
        }
        if self.meets.has(&hall.place) {
            return Err(StanzaError::not_allowed("there is no room to ring"));
        }
        self.ring(kernel, &hall, &caller).await
    }

    /// disco#items of a focus: it has nothing but commands.
    pub(super) fn command_items(&self, focus: &Jid, query: &Element) -> Element {
        let node = query.attr("node").map(str::to_owned);
        let item = |(node, name): (&str, &str)| DiscoItem {
            jid: focus.bare().into(),
            node: Some(node.to_owned()),
            name: Some(name.to_owned()),
        };
        let works = |(node, _): &(&str, &str)| {
            ![START, PAUSE, RESUME, STOP].contains(node) || self.recordings.are_allowed()
        };
        let items = match node.as_deref() {
            Some(ns::COMMANDS) => COMMANDS.into_iter().filter(works).map(item).collect(),
            _ => Vec::new(),
        };
        DiscoItems { node, items }.to_element()
    }
}

fn session(from: &Jid) -> Result<FullJid, StanzaError> {
    FullJid::try_from(from.clone()).map_err(|_| StanzaError::bad_request("only for sessions"))
}
