//! What users show to whom, and what becomes of strangers: for the account that runs it.

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::config::{Audience, Config};
use wello_kernel::privacy::Settings;
use wello_store::{PrivacyChoice, StoreError, Stranger, StrangerPolicy, Viewers};
use wello_wire::jid::{BareJid, Jid};
use wello_wire::payload::data_form::{DataForm, Field, FormKind};
use wello_wire::payload::datetime::Timestamp;

use super::command::{AdHocCommand, Context, Outcome, value, values};
use crate::pubsub::PubSub;
use crate::pubsub::own::Own;
use crate::pubsub::profiles::shown;
use crate::strangers::Strangers;

pub(super) fn all(pubsub: Arc<PubSub>, strangers: Arc<Strangers>) -> [Box<dyn AdHocCommand>; 2] {
    [Box::new(Choose { pubsub }), Box::new(Decide { strangers })]
}

struct Choose {
    pubsub: Arc<PubSub>,
}

const SETTINGS: &str = "urn:wello:privacy:0";
/// Characters of a name to be found under.
const MAX_NAME: usize = 100;

#[async_trait]
impl AdHocCommand for Choose {
    fn node(&self) -> &'static str {
        SETTINGS
    }

    fn name(&self) -> &'static str {
        "Privacy"
    }

    fn audience(&self, _config: &Config) -> Audience {
        Audience::Users
    }

    fn forms(&self) -> Vec<DataForm> {
        let viewers = |var: &str, label: &str| {
            Field::list_single(var, label)
                .with_option("Everyone", Viewers::Everyone.as_str())
                .with_option("My contacts", Viewers::Contacts.as_str())
                .with_option("Nobody", Viewers::Nobody.as_str())
        };
        let strangers = Field::list_single("strangers", "Messages from people I do not know")
            .with_option("Accept", StrangerPolicy::Accept.as_str())
            .with_option("Hold back until I decide", StrangerPolicy::Quarantine.as_str())
            .with_option("Refuse", StrangerPolicy::Refuse.as_str());
        let form = DataForm::typed(FormKind::Form, SETTINGS)
            .with_title("Privacy")
            .with(viewers("presence", "Who sees whether I am online?"))
            .with(viewers("last_seen", "Who sees when I was online last?"))
            .with(viewers("profile", "Who sees my picture and vCard?"))
            .with(strangers)
            .with(Field::text_single("listed_as", "Let others find me under this name"));
        vec![form]
    }

    async fn show(&self, context: &Context<'_>, form: DataForm) -> DataForm {
        let account = context.caller.bare();
        let own = Own::of(&self.pubsub, context.kernel, &account);
        let choice = context.kernel.store.privacy.choice(account.as_str()).await;
        let choice = choice.ok().flatten().unwrap_or_default();
        let config = &context.kernel.config;
        let settings = Settings::of(config, account.domain(), Some(&choice));
        let last_seen = choice.last_seen.unwrap_or(settings.last_seen);
        let profile = shown::to_whom(&own).await.ok().flatten();
        filled(form, |var| match var {
            "presence" => Some(settings.presence.as_str()),
            "last_seen" => Some(last_seen.as_str()),
            "profile" => profile.map(Viewers::as_str),
            "strangers" => Some(settings.strangers.as_str()),
            "listed_as" => choice.listed_as.as_deref(),
            _ => None,
        })
    }

    async fn run(&self, context: &Context<'_>, filled: &[DataForm]) -> Outcome {
        let account = context.caller.bare();
        let name = value(filled, "listed_as").trim();
        if name.chars().count() > MAX_NAME {
            return Outcome::Failed("the name is too long".to_owned());
        }
        let before = context.kernel.store.privacy.choice(account.as_str()).await;
        let before = match before {
            Ok(before) => before.unwrap_or_default(),
            Err(error) => return failed(&error),
        };
        let given = |var| filled.iter().any(|form| form.field(var).is_some());
        let choice = PrivacyChoice {
            presence: value(filled, "presence").parse().ok().or(before.presence),
            last_seen: value(filled, "last_seen").parse().ok().or(before.last_seen),
            strangers: value(filled, "strangers").parse().ok().or(before.strangers),
            listed_as: match given("listed_as") {
                true => Some(name.to_owned()).filter(|name| !name.is_empty()),
                false => before.listed_as,
            },
        };
        if let Err(error) = context.kernel.choose_privacy(&account, &choice).await {
            return failed(&error);
        }
        if let Ok(profile) = value(filled, "profile").parse::<Viewers>() {
            let own = Own::of(&self.pubsub, context.kernel, &account);
            let unchanged = matches!(shown::to_whom(&own).await, Ok(Some(now)) if now == profile);
            if !unchanged && let Err(refusal) = shown::show(&own, profile).await {
                tracing::error!(%account, ?refusal, "access to the profile not changed");
                return Outcome::Failed("the profile could not be changed".to_owned());
            }
        }
        Outcome::Done("your choice holds from now on".to_owned())
    }
}

struct Decide {
    strangers: Arc<Strangers>,
}

const STRANGERS: &str = "urn:wello:strangers:0";

#[async_trait]
impl AdHocCommand for Decide {
    fn node(&self) -> &'static str {
        STRANGERS
    }

    fn name(&self) -> &'static str {
        "Messages from strangers"
    }

    fn audience(&self, _config: &Config) -> Audience {
        Audience::Users
    }

    fn forms(&self) -> Vec<DataForm> {
        let form = DataForm::typed(FormKind::Form, STRANGERS)
            .with_title("Messages from strangers")
            .with_instructions("Who is neither let in nor refused goes on waiting.")
            .with(Field::list_multi("accept", "Let in, and show their messages").open())
            .with(Field::list_multi("refuse", "Refuse from now on").open());
        vec![form]
    }

    async fn show(&self, context: &Context<'_>, form: DataForm) -> DataForm {
        let account = context.caller.bare();
        let held = context.kernel.store.privacy.held(account.as_str()).await.unwrap_or_default();
        let with_options = |mut field: Field| {
            if !matches!(field.var.as_deref(), Some("accept" | "refuse")) {
                return field;
            }
            for stranger in &held {
                field = field.with_option(label(stranger), stranger.peer.as_str());
            }
            field
        };
        DataForm { fields: form.fields.into_iter().map(with_options).collect(), ..form }
    }

    async fn run(&self, context: &Context<'_>, filled: &[DataForm]) -> Outcome {
        let account = context.caller.bare();
        let (accept, refuse) = (values(filled, "accept"), values(filled, "refuse"));
        if accept.iter().any(|peer| refuse.contains(peer)) {
            return Outcome::Failed("nobody can be let in and refused".to_owned());
        }
        let mut failures = Vec::new();
        for (peers, lets_in) in [(accept, true), (refuse, false)] {
            for text in peers {
                let done = self.settle(context, &account, text, lets_in).await;
                failures.extend(done.err().map(|reason| format!("{text}: {reason}")));
            }
        }
        Outcome::of_all(accept.len() + refuse.len() - failures.len(), &failures)
    }
}

impl Decide {
    async fn settle(
        &self,
        context: &Context<'_>,
        account: &BareJid,
        text: &str,
        lets_in: bool,
    ) -> Result<(), String> {
        let peer = text.parse::<Jid>().map_err(|error| error.to_string())?.bare();
        let settled = match lets_in {
            true => self.strangers.accept(context.kernel, account, &peer).await,
            false => self.strangers.refuse(context.kernel, account, &peer).await,
        };
        settled.map_err(|error| {
            tracing::error!(%account, %error, "a stranger was not decided about");
            "the store does not answer".to_owned()
        })
    }
}

fn label(stranger: &Stranger) -> String {
    let seconds = stranger.since.as_micros().div_euclid(1_000_000) * 1_000_000;
    let since = Timestamp::from_micros(seconds);
    let count = stranger.held.len();
    format!("{} ({count} messages since {since})", stranger.peer)
}

/// The form with these values in it.
fn filled<'a>(form: DataForm, value: impl Fn(&str) -> Option<&'a str>) -> DataForm {
    let with_value = |field: Field| match field.var.as_deref().and_then(&value) {
        Some(value) => field.with_value(value),
        None => field,
    };
    DataForm { fields: form.fields.into_iter().map(with_value).collect(), ..form }
}

fn failed(error: &StoreError) -> Outcome {
    tracing::error!(%error, "privacy settings not reached");
    Outcome::Failed("the store does not answer".to_owned())
}
