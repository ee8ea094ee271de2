//! Ad-hoc commands of a host (XEP-0050): administration (XEP-0133), invitations (XEP-0401) and privacy.

mod accounts;
mod command;
mod invitations;
mod online;
mod privacy;
mod reports;
mod running;
mod statistics;

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::audit::{Actor, AuditOutcome};
use wello_kernel::config::Audience;
use wello_kernel::hooks::{
    DiscoQuery, Discovery, IqAnswer, IqHandler, IqRequest, IqScope, Request,
};
use wello_kernel::module::{Module, Registrar, Spec, Status};
use wello_wire::error::StanzaError;
use wello_wire::ns;
use wello_wire::payload::command::{
    Action, Actions, Command, CommandError, Note, NoteKind, Status as Stage,
};
use wello_wire::payload::data_form::DataForm;
use wello_wire::payload::disco::{DiscoInfo, DiscoItem, Identity};

use crate::pubsub::PubSub;
use crate::strangers::Strangers;
use command::{AdHocCommand, Context, Outcome, values};
use running::{Begun, Running, Step, decide};

pub struct Commands {
    commands: Vec<Box<dyn AdHocCommand>>,
    running: Running,
}

const SPECS: &[Spec] = &[
    Spec {
        id: "XEP-0050",
        title: "Ad-Hoc Commands",
        version: "1.3.0",
        status: Status::Complete,
        host_features: &[ns::COMMANDS],
        account_features: &[],
    },
    Spec {
        id: "XEP-0133",
        title: "Service Administration",
        version: "1.3.1",
        status: Status::Partial(
            "no rosters and statistics of users, no lists of domains, no greetings",
        ),
        host_features: &[],
        account_features: &[],
    },
    Spec {
        id: "XEP-0401",
        title: "Ad-hoc Account Invitation Generation",
        version: "0.6.0",
        status: Status::Complete,
        host_features: &[],
        account_features: &[],
    },
];

impl Commands {
    pub(crate) fn new(pubsub: Arc<PubSub>, strangers: Arc<Strangers>) -> Commands {
        let administration = accounts::all().into_iter().chain(online::all());
        let commands = administration.chain(statistics::all()).chain(invitations::all());
        let commands = commands.chain(reports::all()).chain(privacy::all(pubsub, strangers));
        Commands { commands: commands.collect(), running: Running::default() }
    }

    fn find(&self, node: &str) -> Option<&dyn AdHocCommand> {
        self.commands.iter().find(|command| command.node() == node).map(|found| &**found)
    }
}

impl Module for Commands {
    fn name(&self) -> &'static str {
        "commands"
    }

    fn specs(&self) -> &'static [Spec] {
        SPECS
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar<'_>) {
        registrar.iq(IqScope::Host, ns::COMMANDS, Arc::clone(&self) as _);
        registrar.discovery(self);
    }
}

#[async_trait]
impl IqHandler for Commands {
    async fn handle(
        &self,
        kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        request.expect(Request::Set)?;
        let asked = Command::parse(request.payload).map_err(CommandError::from_parse)?;
        let command = self.find(&asked.node);
        let command = command.ok_or_else(|| StanzaError::item_not_found("no such command"))?;
        let role = kernel.role_of(request.from).await;
        let permitted = command.audience(&kernel.config).includes(role);
        let Some(role) = role.filter(|_| permitted) else {
            return Err(StanzaError::forbidden("not for this account"));
        };
        let context = Context { kernel, caller: request.from, role, host: &request.to };
        Ok(self.advance(&context, command, asked).await?.to_element().into())
    }
}

impl Commands {
    /// One step of a command, which may be its first or last.
    async fn advance(
        &self,
        context: &Context<'_>,
        command: &dyn AdHocCommand,
        asked: Command,
    ) -> Result<Command, StanzaError> {
        let now = context.kernel.clock.now();
        let forms = command.forms();
        let begun = match &asked.session_id {
            None => Begun::new(command.node(), context.caller.clone()),
            Some(id) => self.running.take(id, command.node(), context.caller, now)?,
        };
        let id = begun.id.clone();
        let form = begun.stage.and_then(|stage| forms.get(stage));
        let step = decide(begun.stage, forms.len(), asked.action).map_err(StanzaError::from);
        let step = step.and_then(|step| {
            let filled = submission(step, begun.stage, form, asked.form)?;
            Ok((step, filled))
        });
        let (step, filled) = match step {
            Ok(step) => step,
            Err(error) => {
                // Whoever made a mistake may try again.
                self.running.put_back(begun, now);
                return Err(error);
            }
        };
        match step {
            Step::Cancel => Ok(Command::answer(command.node(), id, Stage::Canceled)),
            Step::Show(stage) => {
                let mut answer = Command::answer(command.node(), id, Stage::Executing);
                answer.actions = Some(actions(stage, forms.len()));
                if let Some(form) = forms.into_iter().nth(stage) {
                    answer.form = Some(command.show(context, form).await);
                }
                self.running.put_back(begun.at(stage, filled), now);
                Ok(answer)
            }
            Step::Run => {
                let filled = begun.filled(filled);
                let outcome = command.run(context, &filled).await;
                audit(context, command, &filled, &outcome).await;
                Ok(completed(command.node(), id, outcome))
            }
        }
    }
}

/// Writes down what an administrator did; what users do with their own is nobody's business.
async fn audit(
    context: &Context<'_>,
    command: &dyn AdHocCommand,
    filled: &[DataForm],
    outcome: &Outcome,
) {
    let kernel = context.kernel;
    if command.audience(&kernel.config) != Audience::Admins {
        return;
    }
    let action = command.node().rsplit(['#', '/']).next().unwrap_or_default();
    // Of all that was filled in only addresses: there are passwords in forms.
    let targets = ["accountjid", "accountjids"].map(|var| values(filled, var).join(" "));
    let target = targets.join(" ");
    let outcome = match outcome {
        Outcome::Done(_) | Outcome::Result(_) => AuditOutcome::Done,
        Outcome::Failed(reason) => AuditOutcome::Failed(reason.clone()),
    };
    kernel.audit(Actor::Account(context.caller), action, target.trim(), &outcome).await;
}

/// What was filled in, where the step needs it.
fn submission(
    step: Step,
    stage: Option<usize>,
    form: Option<&DataForm>,
    filled: Option<DataForm>,
) -> Result<Option<DataForm>, StanzaError> {
    let needed = match step {
        Step::Cancel => false,
        Step::Show(next) => stage.is_some_and(|stage| next > stage),
        Step::Run => true,
    };
    let Some(form) = form.filter(|_| needed) else { return Ok(None) };
    let filled = filled.ok_or(CommandError::BadPayload)?;
    form.check(&filled).map_err(|field| {
        StanzaError::from(CommandError::BadPayload)
            .with_text(format!("{field} is not as it must be"))
    })?;
    Ok(Some(filled))
}

fn actions(stage: usize, stages: usize) -> Actions {
    if stage + 1 == stages {
        return Actions { prev: stage > 0, ..Actions::LAST };
    }
    Actions { default: Action::Next, prev: stage > 0, next: true, complete: false }
}

fn completed(node: &str, id: String, outcome: Outcome) -> Command {
    let mut answer = Command::answer(node, id, Stage::Completed);
    let note = |kind, text| vec![Note { kind, text }];
    match outcome {
        Outcome::Done(text) => answer.notes = note(NoteKind::Info, text),
        Outcome::Failed(text) => answer.notes = note(NoteKind::Error, text),
        Outcome::Result(form) => answer.form = Some(form),
    }
    answer
}

#[async_trait]
impl Discovery for Commands {
    async fn node(&self, kernel: &Arc<Kernel>, query: &DiscoQuery) -> Option<DiscoInfo> {
        let node = query.node.as_deref().filter(|_| query.scope == IqScope::Host)?;
        if node == ns::COMMANDS {
            let identity = Identity::new("automation", "command-list", Some("Commands"));
            return Some(DiscoInfo { identities: vec![identity], ..DiscoInfo::default() });
        }
        let command = self.find(node)?;
        let role = kernel.role_of(&query.from).await;
        command.audience(&kernel.config).includes(role).then(|| DiscoInfo {
            identities: vec![Identity::new("automation", "command-node", Some(command.name()))],
            features: vec![ns::COMMANDS.to_owned(), ns::DATA_FORM.to_owned()],
            ..DiscoInfo::default()
        })
    }

    async fn items(&self, kernel: &Arc<Kernel>, query: &DiscoQuery) -> Option<Vec<DiscoItem>> {
        if query.scope != IqScope::Host || query.node.as_deref() != Some(ns::COMMANDS) {
            return None;
        }
        let role = kernel.role_of(&query.from).await;
        let permitted =
            self.commands.iter().filter(|command| command.audience(&kernel.config).includes(role));
        let item = |command: &dyn AdHocCommand| DiscoItem {
            jid: query.to.clone().into(),
            node: Some(command.node().to_owned()),
            name: Some(command.name().to_owned()),
        };
        Some(permitted.map(|command| item(&**command)).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use wello_wire::payload::data_form::{Field, FormKind};

    use super::*;

    #[test]
    fn every_command_has_a_node_and_typed_forms_of_its_own() {
        let pubsub = Arc::new(PubSub::new(crate::caps::EntityCaps::default(), &[]));
        let all = Commands::new(pubsub, Arc::new(Strangers::default()));
        let nodes: HashSet<_> = all.commands.iter().map(|command| command.node()).collect();
        assert_eq!(nodes.len(), all.commands.len());
        for command in &all.commands {
            let administration = command.node().starts_with("http://jabber.org/protocol/admin#");
            for form in command.forms() {
                let expected = if administration { ns::ADMIN } else { command.node() };
                assert_eq!(form.form_type(), Some(expected));
            }
        }
    }

    #[test]
    fn a_form_is_needed_to_go_on_but_not_to_go_back() {
        let form = DataForm::new(FormKind::Form).with(Field::text_single("x", "X").required());
        let good = DataForm::new(FormKind::Submit).with(Field::untyped("x").with_value("1"));
        let empty = DataForm::new(FormKind::Submit);
        let check =
            |step, filled| submission(step, Some(1), Some(&form), filled).map(|f| f.is_some());
        assert_eq!(check(Step::Run, Some(good.clone())), Ok(true));
        assert_eq!(check(Step::Show(2), Some(good)), Ok(true));
        assert!(check(Step::Run, Some(empty.clone())).is_err());
        assert!(check(Step::Run, None).is_err());
        assert!(check(Step::Show(2), None).is_err());
        assert_eq!(check(Step::Show(0), Some(empty)), Ok(false));
        assert_eq!(check(Step::Cancel, None), Ok(false));
    }

    #[test]
    fn the_last_stage_completes_and_the_others_go_on() {
        assert_eq!(actions(0, 1), Actions::LAST);
        assert!(actions(0, 2).next && !actions(0, 2).prev && !actions(0, 2).complete);
        assert!(actions(1, 2).prev && actions(1, 2).complete && !actions(1, 2).next);
    }
}
