//! The commands by which hats are made and given (XEP-0317, section 3; XEP-0050).

use std::sync::Arc;

use wello_kernel::Kernel;
use wello_kernel::clock::random_id;
use wello_kernel::hooks::Request;
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::payload::command::{Action, Actions, Command, Status};
use wello_wire::payload::data_form::{DataForm, Field, FormKind};
use wello_wire::payload::disco::DiscoItem;

use super::Muc;
use super::iq::{Answer, Ask};
use super::room::{Effects, Hat, Room};

/// FORM_TYPE of all, and the beginning of their nodes.
const COMMANDS: &str = "urn:xmpp:hats:commands";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Assign,
    Create,
    Destroy,
    List,
    ListAssigned,
    Unassign,
}

const TASKS: [(Task, &str, &str); 6] = [
    (Task::Create, "create", "Create or change a hat"),
    (Task::Destroy, "destroy", "Destroy a hat"),
    (Task::List, "list", "List hats"),
    (Task::Assign, "assign", "Give a hat to somebody"),
    (Task::Unassign, "unassign", "Take a hat from somebody"),
    (Task::ListAssigned, "list-assigned", "List who wears hats"),
];

impl Muc {
    pub(super) async fn run_command(&self, kernel: &Arc<Kernel>, ask: &Ask<'_>) -> Answer {
        if ask.request != Request::Set {
            return Err(StanzaError::bad_request("commands are set"));
        }
        let command = Command::parse(ask.payload)?;
        let name = command.node.strip_prefix(COMMANDS).and_then(|rest| rest.strip_prefix(':'));
        let task = TASKS.into_iter().find(|(_, word, _)| Some(*word) == name);
        let (task, ..) = task.ok_or_else(|| StanzaError::item_not_found("no such command"))?;
        let session = command.session_id.clone().unwrap_or_else(random_id);
        let answer = |status| Command::answer(command.node.clone(), session.clone(), status);
        if command.action == Action::Cancel {
            return Ok(Some(answer(Status::Canceled).to_element()));
        }
        let work = |room: &mut Room, fx: &mut Effects| {
            check(room, ask.from, task)?;
            match (task, &command.form) {
                (Task::List, _) => Ok((Status::Completed, Some(list(room)))),
                (Task::ListAssigned, _) => Ok((Status::Completed, Some(list_assigned(room)))),
                (_, None) => Ok((Status::Executing, Some(form(room, task)))),
                (_, Some(form)) => {
                    perform(room, task, form, fx).map(|()| (Status::Completed, None))
                }
            }
        };
        let (status, form) = self.run(kernel, &ask.room, ask.session, work).await?.value;
        let actions = (status == Status::Executing).then_some(Actions::LAST);
        Ok(Some(Command { form, actions, ..answer(status) }.to_element()))
    }

    /// The commands of a room, for those who may use them.
    pub(super) fn commands_of(room: &Room, who: &Jid) -> Vec<DiscoItem> {
        let permitted = TASKS.iter().filter(|(task, ..)| check(room, who, *task).is_ok());
        let item = |(_, word, label): &(Task, &str, &str)| DiscoItem {
            jid: room.jid.clone().into(),
            node: Some(format!("{COMMANDS}:{word}")),
            name: Some((*label).to_owned()),
        };
        permitted.map(item).collect()
    }
}

fn check(room: &Room, who: &Jid, task: Task) -> Result<(), StanzaError> {
    match task {
        Task::List if room.occupant_of_account(who).is_some() => Ok(()),
        _ => room.check_hatter(who),
    }
}

fn perform(
    room: &mut Room,
    task: Task,
    form: &DataForm,
    fx: &mut Effects,
) -> Result<(), StanzaError> {
    let given = |var: &str| {
        form.value(var).ok_or_else(|| StanzaError::bad_request(format!("{var} is missing")))
    };
    let account = || Ok::<BareJid, StanzaError>(given("hats#jid")?.parse::<Jid>()?.bare());
    let uri = given("hats#uri").or_else(|error| form.value("hat").ok_or(error))?;
    match task {
        Task::Create => {
            let title = given("hats#title")?.to_owned();
            let hue = form.value("hats#hue").map(str::to_owned);
            room.put_hat(Hat { uri: uri.to_owned(), title, hue }, fx)
        }
        Task::Destroy => room.remove_hat(uri, fx),
        Task::Assign => room.wear_hat(&account()?, uri, true, fx),
        Task::Unassign => room.wear_hat(&account()?, uri, false, fx),
        Task::List | Task::ListAssigned => Ok(()),
    }
}

fn form(room: &Room, task: Task) -> DataForm {
    let form = DataForm::typed(FormKind::Form, COMMANDS);
    let hats = room.config.hats.all.iter();
    let choice = hats.fold(Field::list_single("hats#uri", "Hat").required(), |field, hat| {
        field.with_option(hat.title.as_str(), hat.uri.as_str())
    });
    let account = || Field::jid_single("hats#jid", "Address").required();
    match task {
        Task::Create => form
            .with_title("Creating a hat")
            .with(Field::text_single("hats#title", "Title").required())
            .with(Field::text_single("hats#uri", "URI").required())
            .with(Field::text_single("hats#hue", "Hue")),
        Task::Destroy => form.with_title("Destroying a hat").with(choice),
        Task::Assign => form.with_title("Giving a hat").with(account()).with(choice),
        _ => form.with_title("Taking a hat").with(account()).with(choice),
    }
}

fn list(room: &Room) -> DataForm {
    let mut form = DataForm::typed(FormKind::Result, COMMANDS);
    form.reported = ["hats#title", "hats#uri", "hats#hue"].map(Field::untyped).to_vec();
    form.items = room.config.hats.all.iter().map(row).collect();
    form
}

fn row(hat: &Hat) -> Vec<Field> {
    let mut row = vec![
        Field::untyped("hats#title").with_value(hat.title.as_str()),
        Field::untyped("hats#uri").with_value(hat.uri.as_str()),
    ];
    row.extend(hat.hue.as_deref().map(|hue| Field::untyped("hats#hue").with_value(hue)));
    row
}

fn list_assigned(room: &Room) -> DataForm {
    let mut form = DataForm::typed(FormKind::Result, COMMANDS);
    form.reported = ["hats#jid", "hats#title", "hats#uri", "hats#hue"].map(Field::untyped).to_vec();
    let hats = &room.config.hats;
    for (account, worn) in &hats.worn {
        for hat in worn.iter().filter_map(|uri| hats.find(uri)) {
            let mut fields = vec![Field::untyped("hats#jid").with_value(account.as_str())];
            fields.extend(row(hat));
            form.items.push(fields);
        }
    }
    form
}
