//! The commands of a room by which links for guests are made and taken back (XEP-0050).

use std::sync::Arc;

use wello_kernel::Kernel;
use wello_kernel::clock::random_id;
use wello_kernel::config::LinkMakers;
use wello_kernel::hooks::{GuestDoor as _, GuestLink, GuestLinkWish, Request};
use wello_wire::error::StanzaError;
use wello_wire::jid::Jid;
use wello_wire::ns;
use wello_wire::payload::command::{Action, Actions, Command, Status};
use wello_wire::payload::data_form::{DataForm, Field, FormKind};
use wello_wire::payload::datetime::Timestamp;
use wello_wire::payload::disco::DiscoItem;
use wello_wire::xml::Element;

use super::super::iq::{Answer, Ask};
use super::super::room::Room;
use crate::muc::Muc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Create,
    List,
    Revoke,
}

const TASKS: [(Task, &str, &str); 3] = [
    (Task::Create, "create-link", "Make a link for guests"),
    (Task::List, "links", "List the links for guests"),
    (Task::Revoke, "revoke-link", "Take back a link for guests"),
];

fn node(word: &str) -> String {
    format!("{}#{word}", ns::GUESTS)
}

fn task_of(command: &Element) -> Option<Task> {
    let word = command.attr("node")?.strip_prefix(ns::GUESTS)?.strip_prefix('#')?;
    TASKS.into_iter().find(|(_, known, _)| *known == word).map(|(task, ..)| task)
}

pub(in crate::muc) fn is_command(command: &Element) -> bool {
    task_of(command).is_some()
}

/// The commands, for those who may use them.
pub(in crate::muc) fn commands_of(room: &Room, who: &Jid, makers: LinkMakers) -> Vec<DiscoItem> {
    let permitted = room.check_link_maker(who, makers).is_ok();
    let item = |(_, word, label): &(Task, &str, &str)| DiscoItem {
        jid: room.jid.clone().into(),
        node: Some(node(word)),
        name: Some((*label).to_owned()),
    };
    TASKS.iter().filter(|_| permitted).map(item).collect()
}

impl Muc {
    pub(in crate::muc) async fn run_guest_command(
        &self,
        kernel: &Arc<Kernel>,
        ask: &Ask<'_>,
    ) -> Answer {
        if ask.request != Request::Set {
            return Err(StanzaError::bad_request("commands are set"));
        }
        let task = task_of(ask.payload);
        let task = task.ok_or_else(|| StanzaError::item_not_found("no such command"))?;
        let command = Command::parse(ask.payload)?;
        let session = command.session_id.clone().unwrap_or_else(random_id);
        let answer = |status| Command::answer(command.node.clone(), session.clone(), status);
        if command.action == Action::Cancel {
            return Ok(Some(answer(Status::Canceled).to_element()));
        }
        // Also tells whoever may make none.
        let links = self.links(kernel, ask.from, &ask.room).await?;
        let form = match (task, &command.form) {
            (Task::List, _) => Some(list(&links)),
            (Task::Create, Some(filled)) => Some(self.create(kernel, ask, filled).await?),
            (Task::Revoke, Some(filled)) => {
                let id = filled.value("id").ok_or_else(|| StanzaError::bad_request("which?"))?;
                self.revoke_link(kernel, ask.from, &ask.room, id).await?;
                None
            }
            (task, None) => {
                let form = Some(blank(task, &links));
                let actions = Some(Actions::LAST);
                let shown = Command { form, actions, ..answer(Status::Executing) };
                return Ok(Some(shown.to_element()));
            }
        };
        Ok(Some(Command { form, ..answer(Status::Completed) }.to_element()))
    }

    async fn create(
        &self,
        kernel: &Arc<Kernel>,
        ask: &Ask<'_>,
        filled: &DataForm,
    ) -> Result<DataForm, StanzaError> {
        let wish = GuestLinkWish {
            hours: filled.parsed("hours")?,
            member: filled.boolean("member")?.unwrap_or_default(),
        };
        let made = self.make_link(kernel, ask.from, &ask.room, wish).await?;
        let result = DataForm::typed(FormKind::Result, ns::GUESTS)
            .with(Field::text_single("url", "Link").with_value(made.url))
            .with(Field::text_single("id", "Id").with_value(made.link.id.as_str()))
            .with(Field::text_single("expires", "Holds until").with_value(until(&made.link)));
        Ok(result)
    }
}

fn blank(task: Task, links: &[GuestLink]) -> DataForm {
    let form = DataForm::typed(FormKind::Form, ns::GUESTS);
    match task {
        Task::Create | Task::List => form
            .with(Field::text_single("hours", "Hours for which it holds"))
            .with(Field::boolean("member", "Guests count as members").with_boolean(false)),
        Task::Revoke => {
            let choice = Field::list_single("id", "Link").required();
            let choice = links.iter().fold(choice, |choice, link| {
                choice.with_option(format!("{} by {}", until(link), link.by), link.id.as_str())
            });
            form.with(choice)
        }
    }
}

/// A line for each.
fn list(links: &[GuestLink]) -> DataForm {
    let line = |link: &GuestLink| format!("{} {} {}", link.id, until(link), link.by);
    let field = Field::text_multi("links", "Id, end and maker of each link");
    DataForm::typed(FormKind::Result, ns::GUESTS).with(field.with_values(links.iter().map(line)))
}

fn until(link: &GuestLink) -> String {
    Timestamp::from_micros(link.expires.as_micros()).to_string()
}
