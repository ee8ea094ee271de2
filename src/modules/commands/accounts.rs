//! Commands on accounts (XEP-0133, sections 4.1 to 4.9).

use async_trait::async_trait;
use wello_kernel::accounts::AccountError;
use wello_kernel::sessions::EndReason;
use wello_store::{AccountStatus, Role};
use wello_wire::jid::{BareJid, Jid};
use wello_wire::payload::data_form::{DataForm, Field};

use super::command::{
    AdHocCommand, Context, Outcome, explain, form, local_account, result, value, values,
};

pub(super) fn all() -> Vec<Box<dyn AdHocCommand>> {
    vec![
        Box::new(AddUser),
        Box::new(Each {
            node: "http://jabber.org/protocol/admin#delete-user",
            name: "Delete users",
            deed: Deed::Delete,
        }),
        Box::new(Each {
            node: "http://jabber.org/protocol/admin#disable-user",
            name: "Disable users",
            deed: Deed::Disable,
        }),
        Box::new(Each {
            node: "http://jabber.org/protocol/admin#reenable-user",
            name: "Re-enable users",
            deed: Deed::Enable,
        }),
        Box::new(Each {
            node: "http://jabber.org/protocol/admin#end-user-session",
            name: "End sessions of users",
            deed: Deed::EndSessions,
        }),
        Box::new(ChangePassword),
        Box::new(LastLogin),
    ]
}

struct AddUser;

#[async_trait]
impl AdHocCommand for AddUser {
    fn node(&self) -> &'static str {
        "http://jabber.org/protocol/admin#add-user"
    }

    fn name(&self) -> &'static str {
        "Add a user"
    }

    fn forms(&self) -> Vec<DataForm> {
        let form = form(self.name(), "Fill out this form to add a user.")
            .with(Field::jid_single("accountjid", "Address of the account").required())
            .with(Field::text_private("password", "Password").required())
            .with(Field::text_private("password-verify", "Password once more").required())
            .with(Field::text_single("email", "E-mail address"))
            .with(Field::text_single("given_name", "Given name"))
            .with(Field::text_single("surname", "Family name"));
        vec![form]
    }

    async fn run(&self, context: &Context<'_>, filled: &[DataForm]) -> Outcome {
        let password = value(filled, "password");
        if password != value(filled, "password-verify") {
            return Outcome::Failed("the two passwords differ".to_owned());
        }
        let kernel = context.kernel;
        let jid = match local_account(kernel, value(filled, "accountjid")) {
            Ok(jid) => jid,
            Err(reason) => return Outcome::Failed(reason),
        };
        if let Err(error) = kernel.accounts.create(&jid, password, Role::User).await {
            return Outcome::Failed(explain(&error));
        }
        let name = full_name(value(filled, "given_name"), value(filled, "surname"));
        let email = Some(value(filled, "email").trim()).filter(|email| !email.is_empty());
        if name.is_some() || email.is_some() {
            let accounts = &kernel.store.accounts;
            if let Err(error) = accounts.set_profile(jid.as_str(), name.as_deref(), email).await {
                tracing::error!(%jid, %error, "profile not stored");
                return Outcome::Failed(format!("{jid} was added, but without name and e-mail"));
            }
        }
        Outcome::Done(format!("{jid} was added"))
    }
}

fn full_name(given: &str, family: &str) -> Option<String> {
    let name = format!("{} {}", given.trim(), family.trim());
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// A command that does the same to each of several accounts.
struct Each {
    node: &'static str,
    name: &'static str,
    deed: Deed,
}

#[derive(Clone, Copy)]
enum Deed {
    Delete,
    Disable,
    Enable,
    EndSessions,
}

#[async_trait]
impl AdHocCommand for Each {
    fn node(&self) -> &'static str {
        self.node
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn forms(&self) -> Vec<DataForm> {
        let form = form(self.name, "Name the accounts.");
        vec![form.with(Field::jid_multi("accountjids", "Addresses of the accounts").required())]
    }

    async fn run(&self, context: &Context<'_>, filled: &[DataForm]) -> Outcome {
        let (mut done, mut failures) = (0, Vec::new());
        for text in values(filled, "accountjids").iter().filter(|text| !text.trim().is_empty()) {
            match self.deed.carry_out(context, text).await {
                Ok(()) => done += 1,
                Err(reason) => failures.push(reason),
            }
        }
        Outcome::of_all(done, &failures)
    }
}

impl Deed {
    async fn carry_out(self, context: &Context<'_>, text: &str) -> Result<(), String> {
        let kernel = context.kernel;
        // Section 4.5: sessions may also be named one by one.
        if let Deed::EndSessions = self {
            let jid = text.trim().parse::<Jid>().map_err(|error| format!("{text}: {error}"))?;
            local_account(kernel, jid.bare_str())?;
            return end_sessions(context, &jid, EndReason::Kicked);
        }
        let jid = local_account(kernel, text)?;
        // Whoever shuts themselves out can undo it no more.
        if !matches!(self, Deed::Enable) && context.caller.bare() == jid {
            return Err("administrators cannot do this to themselves".to_owned());
        }
        match self {
            Deed::Delete => {
                kernel.delete_account(&jid, None).await.map_err(|error| explain(&error))
            }
            Deed::Disable => {
                set_status(context, &jid, AccountStatus::Inactive).await?;
                // Nobody need be online for the account to be disabled.
                let _ = end_sessions(context, &jid, EndReason::Kicked);
                Ok(())
            }
            Deed::Enable => set_status(context, &jid, AccountStatus::Active).await,
            Deed::EndSessions => Ok(()),
        }
    }
}

fn end_sessions(context: &Context<'_>, jid: &Jid, reason: EndReason) -> Result<(), String> {
    let sessions = context.kernel.sessions.of(jid);
    let meant = |full: &Jid| jid.is_bare() || full == jid;
    let meant: Vec<_> = sessions.iter().filter(|session| meant(&session.jid)).collect();
    if meant.is_empty() {
        return Err(format!("{jid} is not online"));
    }
    for session in meant {
        session.end(reason);
    }
    Ok(())
}

async fn set_status(
    context: &Context<'_>,
    jid: &BareJid,
    status: AccountStatus,
) -> Result<(), String> {
    let set = context.kernel.store.accounts.set_status(jid.as_str(), status).await;
    match set.map_err(|error| explain(&error.into()))? {
        true => Ok(()),
        false => Err(explain(&AccountError::NotFound(jid.clone()))),
    }
}

struct ChangePassword;

#[async_trait]
impl AdHocCommand for ChangePassword {
    fn node(&self) -> &'static str {
        "http://jabber.org/protocol/admin#change-user-password"
    }

    fn name(&self) -> &'static str {
        "Change a user's password"
    }

    fn forms(&self) -> Vec<DataForm> {
        let form = form(self.name(), "All sessions of the account will be ended.")
            .with(Field::jid_single("accountjid", "Address of the account").required())
            .with(Field::text_private("password", "New password").required());
        vec![form]
    }

    async fn run(&self, context: &Context<'_>, filled: &[DataForm]) -> Outcome {
        let kernel = context.kernel;
        let jid = match local_account(kernel, value(filled, "accountjid")) {
            Ok(jid) => jid,
            Err(reason) => return Outcome::Failed(reason),
        };
        let session = kernel.sessions.find(context.caller);
        let keep = session.as_deref().filter(|session| session.jid.bare() == jid);
        match kernel.set_password(&jid, value(filled, "password"), keep).await {
            Ok(()) => Outcome::Done(format!("{jid} has a new password")),
            Err(error) => Outcome::Failed(explain(&error)),
        }
    }
}

struct LastLogin;

#[async_trait]
impl AdHocCommand for LastLogin {
    fn node(&self) -> &'static str {
        "http://jabber.org/protocol/admin#get-user-lastlogin"
    }

    fn name(&self) -> &'static str {
        "Get the last login of a user"
    }

    fn forms(&self) -> Vec<DataForm> {
        let form = form(self.name(), "Name the account.");
        vec![form.with(Field::jid_multi("accountjids", "Address of the account").required())]
    }

    async fn run(&self, context: &Context<'_>, filled: &[DataForm]) -> Outcome {
        let (mut jids, mut logins) = (Vec::new(), Vec::new());
        for text in values(filled, "accountjids").iter().filter(|text| !text.trim().is_empty()) {
            let jid = match local_account(context.kernel, text) {
                Ok(jid) => jid,
                Err(reason) => return Outcome::Failed(reason),
            };
            match context.kernel.store.accounts.find(jid.as_str()).await {
                Ok(Some(account)) => {
                    let login = account.last_login.map(|at| at.to_string());
                    logins.push(login.unwrap_or_else(|| "never".to_owned()));
                }
                Ok(None) => return Outcome::Failed(explain(&AccountError::NotFound(jid))),
                Err(error) => return Outcome::Failed(explain(&error.into())),
            }
            jids.push(jid.to_string());
        }
        let form = result()
            .with(Field::jid_multi("accountjids", "Address of the account").with_values(jids))
            .with(Field::text_multi("lastlogin", "Last login").with_values(logins));
        Outcome::Result(form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_what_was_given() {
        assert_eq!(full_name(" Juliet", "Capulet ").as_deref(), Some("Juliet Capulet"));
        assert_eq!(full_name("", "Capulet").as_deref(), Some("Capulet"));
        assert_eq!(full_name(" ", ""), None);
    }
}
