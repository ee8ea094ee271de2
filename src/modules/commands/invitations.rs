//! Links to hand over (XEP-0401).

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::accounts::{AccountInvite, InviteError};
use wello_kernel::config::{Audience, Config, Registration};
use wello_store::{Invite, Role};
use wello_wire::ns;
use wello_wire::payload::data_form::DataForm;
use wello_wire::payload::datetime::Timestamp;
use wello_wire::payload::invite::{CreateAccount, Invitation};

use super::command::{AdHocCommand, Context, Outcome};

pub(super) fn all() -> Vec<Box<dyn AdHocCommand>> {
    vec![Box::new(InviteContact), Box::new(InviteToAccount)]
}

/// Section 5.1.
struct InviteContact;

#[async_trait]
impl AdHocCommand for InviteContact {
    fn node(&self) -> &'static str {
        ns::INVITE_INVITE
    }

    fn name(&self) -> &'static str {
        "Invite somebody to become your contact"
    }

    fn audience(&self, config: &Config) -> Audience {
        config.auth.contact_invites
    }

    fn forms(&self) -> Vec<DataForm> {
        Vec::new()
    }

    async fn run(&self, context: &Context<'_>, _: &[DataForm]) -> Outcome {
        let made = context.kernel.accounts.invite_contact(&context.caller.bare()).await;
        outcome(context.kernel, made)
    }
}

/// Section 5.4.
struct InviteToAccount;

#[async_trait]
impl AdHocCommand for InviteToAccount {
    fn node(&self) -> &'static str {
        ns::INVITE_CREATE_ACCOUNT
    }

    fn name(&self) -> &'static str {
        "Invite somebody to an account"
    }

    /// Where nobody can register, such a link would lead nowhere.
    fn audience(&self, config: &Config) -> Audience {
        match config.auth.registration {
            Registration::Closed => Audience::Nobody,
            Registration::Invite | Registration::Open => config.auth.account_invites,
        }
    }

    fn forms(&self) -> Vec<DataForm> {
        vec![CreateAccount::form()]
    }

    async fn run(&self, context: &Context<'_>, filled: &[DataForm]) -> Outcome {
        let domain = context.host.domain();
        let wish = filled.first().map(|form| CreateAccount::parse(form, domain));
        let Some(Ok(wish)) = wish else {
            return Outcome::Failed("this is no username".to_owned());
        };
        // Users answer for whom they let in by being their contact, and have so many open
        // invitations at most.
        let befriends = wish.roster_subscription || context.role != Role::Admin;
        let inviter = befriends.then(|| context.caller.bare());
        let invite = AccountInvite {
            inviter: inviter.as_ref(),
            domain,
            username: wish.username.as_deref(),
            role: Role::User,
            uses: 1,
        };
        outcome(context.kernel, context.kernel.accounts.invite_account(&invite).await)
    }
}

fn outcome(kernel: &Kernel, made: Result<Invite, InviteError>) -> Outcome {
    match made {
        Ok(invite) => match invitation(kernel, &invite) {
            Some(invitation) => Outcome::Result(invitation.to_form()),
            None => Outcome::Failed("the link cannot be written".to_owned()),
        },
        Err(InviteError::Store(error)) => {
            tracing::error!(%error, "invitation not stored");
            Outcome::Failed("the account store does not answer".to_owned())
        }
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

fn invitation(kernel: &Kernel, invite: &Invite) -> Option<Invitation> {
    let base = kernel.config.web_address(&invite.domain);
    // Section 5.1: the page is an HTTPS one.
    let base = base.filter(|base| base.starts_with("https://"));
    let seconds = |micros: i64| micros.div_euclid(1_000_000) * 1_000_000;
    Some(Invitation {
        uri: kernel.accounts.invite_uri(invite)?,
        landing_url: base.map(|base| format!("{base}/invite/{}", invite.token)),
        // Whole seconds, which every client can read.
        expires: invite.expires.map(|expires| Timestamp::from_micros(seconds(expires.as_micros()))),
    })
}
