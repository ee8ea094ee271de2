//! `wello invite`, and the link by which the first administrator comes in.

use anyhow::{Context, bail};
use wello_kernel::accounts::{AccountInvite, Accounts};
use wello_kernel::clock::Clock;
use wello_kernel::config::{Config, Registration};
use wello_store::{AccountFilter, Invite, Role, Store};

use crate::audit;
use crate::cli::InviteOptions;
use crate::serve::open_store;

pub async fn run(config: &Config, options: InviteOptions) -> anyhow::Result<()> {
    let mut config = config.clone();
    if let Some(days) = options.days {
        config.auth.invite_days = days;
    }
    let domains = config.domains();
    let domain = match &options.domain {
        Some(domain) => {
            domains.iter().copied().find(|served| served == domain).with_context(|| {
                format!("{domain} is not served here: the hosts are {}", domains.join(", "))
            })?
        }
        None => domains.first().copied().context("no host is configured: set `hosts`")?,
    };
    if config.auth.registration == Registration::Closed {
        bail!("nobody can register: set auth.registration = \"invite\" and restart the server");
    }
    let store = open_store(&config, None).await?;
    let done = async {
        let accounts = Accounts::open(&config, &store, Clock::System).await?;
        let wish = AccountInvite {
            inviter: None,
            domain,
            username: options.username.as_deref(),
            role: if options.admin { Role::Admin } else { Role::User },
            uses: options.uses,
        };
        let invited = accounts.invite_account(&wish).await.map_err(anyhow::Error::from);
        let action = if options.admin { "invite --admin" } else { "invite" };
        let target = options.username.as_deref().unwrap_or(domain);
        let invite = audit::record(&store, action, target, invited).await?;
        println!("{}", landing_url(&config, &invite)?);
        if let Some(uri) = accounts.invite_uri(&invite) {
            println!("{uri}");
        }
        anyhow::Ok(())
    };
    let done = done.await;
    store.close().await;
    done
}

/// Where the first administrator makes an account; none when there are accounts already, or when
/// nobody can register. The same link until it is used or has expired.
pub async fn first_administrator(
    config: &Config,
    store: &Store,
    accounts: &Accounts,
) -> anyhow::Result<Option<String>> {
    const LISTED: u32 = 100;
    let closed = config.auth.registration == Registration::Closed;
    if closed || store.accounts.count(&AccountFilter::default()).await? > 0 {
        return Ok(None);
    }
    let Some(domain) = config.domains().first().copied() else { return Ok(None) };
    let now = Clock::System.now();
    let is_open = |invite: &Invite| {
        let unexpired = invite.expires.is_none_or(|expires| expires > now);
        let for_whomever = invite.inviter.is_none() && invite.username.is_none();
        unexpired && for_whomever && invite.uses_left > 0 && invite.domain == domain
    };
    let known = store.invites.list(None, LISTED).await?;
    let open = known.into_iter().find(|known| known.role == Role::Admin && is_open(known));
    let invite = match open {
        Some(invite) => invite,
        None => {
            let role = Role::Admin;
            let wish = AccountInvite { inviter: None, domain, username: None, role, uses: 1 };
            accounts.invite_account(&wish).await?
        }
    };
    landing_url(config, &invite).map(Some)
}

fn landing_url(config: &Config, invite: &Invite) -> anyhow::Result<String> {
    let base = config
        .web_address(&invite.domain)
        .context("no web address: set http.public_url, or listen.https")?;
    Ok(format!("{base}/invite/{}", invite.token))
}
