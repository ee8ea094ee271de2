//! Commands that count (XEP-0133, sections 4.13 to 4.15).

use async_trait::async_trait;
use wello_store::{AccountFilter, AccountStatus};
use wello_wire::payload::data_form::{DataForm, Field};

use super::command::{AdHocCommand, Context, Outcome, explain, result};
use super::online::online;

pub(super) fn all() -> Vec<Box<dyn AdHocCommand>> {
    vec![
        Box::new(Count {
            node: "http://jabber.org/protocol/admin#get-registered-users-num",
            name: "Get the number of registered users",
            field: "registeredusersnum",
            what: What::Registered,
        }),
        Box::new(Count {
            node: "http://jabber.org/protocol/admin#get-disabled-users-num",
            name: "Get the number of disabled users",
            field: "disabledusersnum",
            what: What::Disabled,
        }),
        Box::new(Count {
            node: "http://jabber.org/protocol/admin#get-online-users-num",
            name: "Get the number of users who are online",
            field: "onlineusersnum",
            what: What::Online,
        }),
    ]
}

/// A command that answers with a number at once.
struct Count {
    node: &'static str,
    name: &'static str,
    field: &'static str,
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    Registered,
    Disabled,
    Online,
}

#[async_trait]
impl AdHocCommand for Count {
    fn node(&self) -> &'static str {
        self.node
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn forms(&self) -> Vec<DataForm> {
        Vec::new()
    }

    async fn run(&self, context: &Context<'_>, _filled: &[DataForm]) -> Outcome {
        let status = match self.what {
            What::Registered => None,
            What::Disabled => Some(AccountStatus::Inactive),
            What::Online => {
                return self.answer(online(context.kernel, context.host).len() as u64);
            }
        };
        let domain = Some(context.host.to_string());
        let filter = AccountFilter { domain, status, ..AccountFilter::default() };
        match context.kernel.store.accounts.count(&filter).await {
            Ok(count) => self.answer(count),
            Err(error) => Outcome::Failed(explain(&error.into())),
        }
    }
}

impl Count {
    fn answer(&self, count: u64) -> Outcome {
        let field = Field::text_single(self.field, self.name).with_value(count.to_string());
        Outcome::Result(result().with(field))
    }
}
