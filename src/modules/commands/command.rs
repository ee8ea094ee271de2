//! What a command is.

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::accounts::{AccountError, account_address};
use wello_kernel::config::{Audience, Config};
use wello_store::Role;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::data_form::{DataForm, FormKind};

#[async_trait]
pub(super) trait AdHocCommand: Send + Sync {
    fn node(&self) -> &'static str;

    /// For people.
    fn name(&self) -> &'static str;

    /// Who may run it.
    fn audience(&self, _config: &Config) -> Audience {
        Audience::Admins
    }

    /// The stages to fill in, in their order; none when it just runs.
    fn forms(&self) -> Vec<DataForm>;

    /// One of the forms as the caller gets it, with what is set now.
    async fn show(&self, _context: &Context<'_>, form: DataForm) -> DataForm {
        form
    }

    /// `filled` has a submission for each of the forms, checked against it.
    async fn run(&self, context: &Context<'_>, filled: &[DataForm]) -> Outcome;
}

/// Who runs a command where.
pub(super) struct Context<'a> {
    pub(super) kernel: &'a Arc<Kernel>,
    pub(super) caller: &'a Jid,
    pub(super) role: Role,
    pub(super) host: &'a BareJid,
}

/// What came of it.
pub(super) enum Outcome {
    Done(String),
    Failed(String),
    Result(DataForm),
}

impl Outcome {
    /// What was done for each of several addresses; a failure tells which one failed why.
    pub(super) fn of_all(done: usize, failures: &[String]) -> Outcome {
        match failures {
            [] => Outcome::Done(format!("done for {done}")),
            _ => Outcome::Failed(format!("done for {done}; {}", failures.join("; "))),
        }
    }
}

/// Why something was not done, for whoever wanted it.
pub(super) fn explain(error: &AccountError) -> String {
    if let AccountError::Store(error) = error {
        tracing::error!(%error, "accounts not reached");
        return "the account store does not answer".to_owned();
    }
    error.to_string()
}

/// The address of an account on one of the hosts here, existing or not.
pub(super) fn local_account(kernel: &Kernel, text: &str) -> Result<BareJid, String> {
    let jid = account_address(text.trim()).map_err(|error| explain(&error))?;
    match kernel.hosts.contains(jid.domain()) {
        true => Ok(jid),
        false => Err(format!("{} is not served here", jid.domain())),
    }
}

pub(super) fn form(title: &str, instructions: &str) -> DataForm {
    DataForm::typed(FormKind::Form, ns::ADMIN).with_title(title).with_instructions(instructions)
}

pub(super) fn result() -> DataForm {
    DataForm::typed(FormKind::Result, ns::ADMIN)
}

/// The value of a field that may not be there.
pub(super) fn value<'a>(filled: &'a [DataForm], var: &str) -> &'a str {
    filled.iter().find_map(|form| form.value(var)).unwrap_or_default()
}

pub(super) fn values<'a>(filled: &'a [DataForm], var: &str) -> &'a [String] {
    filled.iter().map(|form| form.values(var)).find(|values| !values.is_empty()).unwrap_or_default()
}
