//! What is there before the first step: accounts and subscriptions.

use tokio::time::{Duration, Instant};

use super::actor::Actor;
use super::{Outcome, Play};
use crate::client::Endpoint;
use crate::script::{ActorSpec, Host, Stage, Subscription, Transport};
use crate::target::Account;
use crate::text::{Vars, random_hex};

/// Setting up is not what is tested, so it may take its time.
const SETUP_LIMIT: Duration = Duration::from_secs(30);

impl Play<'_> {
    pub(super) async fn create_accounts(&mut self) -> Outcome {
        for spec in &self.script.actors {
            let same = self.actors.values().find(|a| a.spec.account == spec.account);
            let account = match same {
                Some(other) => other.account.clone(),
                None => self.create_account(spec).await?,
            };
            self.set_account_vars(spec, &account);
            let actor = Actor::new(spec.clone(), account, self.vars.clone());
            self.actors.insert(spec.name.clone(), actor);
        }
        Ok(())
    }

    async fn create_account(&self, spec: &ActorSpec) -> Outcome<Account> {
        if let Some((domain, secret)) = spec.component.clone() {
            let bare = domain.clone();
            return Ok(Account { local: String::new(), domain, password: secret, bare });
        }
        let domain = match spec.host {
            Host::First => self.server.domain().to_owned(),
            Host::Second => self.server.second_domain().to_owned(),
            Host::Guests => format!("guest.{}", self.server.domain()),
        };
        let mut account = Account {
            local: format!("{}-{}", spec.account, random_hex(4)),
            domain,
            password: random_hex(8),
            bare: String::new(),
        };
        account.bare = format!("{}@{}", account.local, account.domain);
        // An admin may have to be one whom the server's configuration names.
        if spec.registered {
            self.server
                .create_account(&mut account, spec.admin)
                .await
                .map_err(|e| format!("the account {} cannot be made: {e:#}", account.bare))?;
        }
        Ok(account)
    }

    fn set_account_vars(&self, spec: &ActorSpec, account: &Account) {
        let name = spec.name.to_lowercase();
        for (what, value) in [
            ("bare", &account.bare),
            ("user", &account.local),
            ("domain", &account.domain),
            ("password", &account.password),
        ] {
            self.vars.set(&format!("{name}.{what}"), value.clone());
        }
        if let Some(resource) = &spec.resource {
            self.vars.set(&format!("{name}.jid"), format!("{}/{resource}", account.bare));
        }
    }

    /// Makes the `roster:` presets by real subscription handshakes on sessions of their own.
    pub(super) async fn make_subscriptions(&mut self) -> Outcome {
        for spec in &self.script.actors {
            for (other, state) in &spec.roster {
                let (a, b) = (self.helper(&spec.name)?, self.helper(other)?);
                subscribe_pair(a, b, *state, &self.server.endpoint()).await?;
            }
        }
        Ok(())
    }

    fn helper(&self, name: &str) -> Outcome<Actor> {
        let actor = self.actors.get(name).ok_or_else(|| format!("unknown actor {name}"))?;
        let mut spec = actor.spec.clone();
        spec.name = format!("setup-{name}");
        spec.resource = Some(format!("setup-{}", random_hex(3)));
        spec.transport = Transport::StartTls;
        spec.presence = true;
        spec.interested = true;
        Ok(Actor::new(spec, actor.account.clone(), Vars::default()))
    }
}

async fn subscribe_pair(
    mut a: Actor,
    mut b: Actor,
    state: Subscription,
    endpoint: &Endpoint,
) -> Outcome {
    let deadline = Instant::now() + SETUP_LIMIT;
    a.advance(endpoint, Stage::Session, deadline).await?;
    b.advance(endpoint, Stage::Session, deadline).await?;
    if matches!(state, Subscription::Both | Subscription::To) {
        subscribe(&mut a, &mut b, deadline).await?;
    }
    if matches!(state, Subscription::Both | Subscription::From) {
        subscribe(&mut b, &mut a, deadline).await?;
    }
    a.disconnect(deadline).await?;
    b.disconnect(deadline).await
}

async fn subscribe(who: &mut Actor, to: &mut Actor, deadline: Instant) -> Outcome {
    let (from, contact) = (who.account.bare.clone(), to.account.bare.clone());
    who.send_elements(&format!("<presence type='subscribe' to='{contact}'/>")).await?;
    wait_presence(to, "subscribe", &from, deadline).await?;
    to.send_elements(&format!("<presence type='subscribed' to='{from}'/>")).await?;
    wait_presence(who, "subscribed", &contact, deadline).await
}

async fn wait_presence(who: &mut Actor, kind: &str, from: &str, deadline: Instant) -> Outcome {
    who.wait_for(deadline, |e| {
        e.name == "presence"
            && e.attr("type") == Some(kind)
            && e.attr("from").is_some_and(|f| f.split('/').next() == Some(from))
    })
    .await
    .map(drop)
}
