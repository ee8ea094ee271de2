//! What a request asks for: the payloads of XEP-0060 as commands.

use wello_kernel::hooks::Request;
use wello_store::{Affiliation, SubscriptionState};
use wello_wire::jid::Jid;
use wello_wire::ns;
use wello_wire::payload::data_form::{DataForm, FormKind};
use wello_wire::payload::rsm::PageRequest;
use wello_wire::xml::Element;

use super::config::{FORM_TYPE, OPTIONS_FORM_TYPE};
use super::options::FORM_TYPE as SUBSCRIBER_FORM_TYPE;
use super::refusals::Refusal;

#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Affiliations {
        node: Option<String>,
    },
    Create {
        node: Option<String>,
        config: Option<DataForm>,
    },
    DefaultOptions {
        node: Option<String>,
    },
    Items(ItemsRequest),
    /// Without a form the options are asked for.
    Options {
        node: String,
        jid: Jid,
        chosen: Option<DataForm>,
    },
    Publish {
        node: String,
        item: Option<ItemRequest>,
        options: Option<DataForm>,
    },
    Retract {
        node: String,
        id: String,
        notify: bool,
    },
    Subscribe {
        node: String,
        jid: Jid,
        options: Option<DataForm>,
    },
    Subscriptions {
        node: Option<String>,
    },
    Unsubscribe {
        node: String,
        jid: Jid,
    },
    Owner(OwnerCommand),
}

/// Namespace `http://jabber.org/protocol/pubsub#owner`.
#[derive(Debug, PartialEq)]
pub(crate) enum OwnerCommand {
    Affiliate {
        node: String,
        changes: Vec<(Jid, Option<Affiliation>)>,
    },
    Affiliations {
        node: String,
    },
    Config {
        node: String,
    },
    /// `None`: the owner has thought better of it.
    Configure {
        node: String,
        form: Option<DataForm>,
    },
    Default,
    Delete {
        node: String,
        redirect: Option<String>,
    },
    Purge {
        node: String,
    },
    Subscribe {
        node: String,
        changes: Vec<(Jid, Option<SubscriptionState>)>,
    },
    Subscriptions {
        node: String,
    },
}

#[derive(Debug, PartialEq)]
pub(crate) struct ItemRequest {
    pub(crate) id: Option<String>,
    pub(crate) payloads: Vec<Element>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct ItemsRequest {
    pub(crate) node: String,
    pub(crate) ids: Vec<String>,
    /// The newest so many.
    pub(crate) newest: Option<u32>,
    pub(crate) page: Option<PageRequest>,
}

impl Command {
    /// The node that it is about.
    pub(crate) fn node(&self) -> Option<&str> {
        match self {
            Command::Items(asked) => Some(&asked.node),
            Command::Affiliations { node }
            | Command::Create { node, .. }
            | Command::DefaultOptions { node }
            | Command::Subscriptions { node } => node.as_deref(),
            Command::Options { node, .. }
            | Command::Publish { node, .. }
            | Command::Retract { node, .. }
            | Command::Subscribe { node, .. }
            | Command::Unsubscribe { node, .. } => Some(node),
            Command::Owner(command) => command.node(),
        }
    }

    /// The node whose items it changes.
    pub(crate) fn changes(&self) -> Option<&str> {
        match self {
            Command::Publish { .. }
            | Command::Retract { .. }
            | Command::Owner(
                OwnerCommand::Configure { .. }
                | OwnerCommand::Delete { .. }
                | OwnerCommand::Purge { .. },
            ) => self.node(),
            _ => None,
        }
    }
}

impl OwnerCommand {
    fn node(&self) -> Option<&str> {
        match self {
            OwnerCommand::Default => None,
            OwnerCommand::Affiliate { node, .. }
            | OwnerCommand::Affiliations { node }
            | OwnerCommand::Config { node }
            | OwnerCommand::Configure { node, .. }
            | OwnerCommand::Delete { node, .. }
            | OwnerCommand::Purge { node }
            | OwnerCommand::Subscribe { node, .. }
            | OwnerCommand::Subscriptions { node } => Some(node),
        }
    }
}

/// Octets of a node's name and of an item's id. The longest in use are addresses, of rooms and
/// of their occupants.
const MAX_ID: usize = 3071;

pub(crate) fn parse(request: Request, pubsub: &Element) -> Result<Command, Refusal> {
    if pubsub.name() != "pubsub" {
        return Err(Refusal::BadRequest("not a pubsub request"));
    }
    let mut children = pubsub.children().filter(|child| child.ns() == pubsub.ns());
    let action = children.next().ok_or(Refusal::BadRequest("nothing is asked"))?;
    if pubsub.ns() == ns::PUBSUB_OWNER {
        return owner(request, action).map(Command::Owner);
    }
    let next = children.next();
    match (request, action.name()) {
        (Request::Get, "items") => items(pubsub, action),
        (Request::Get, "subscriptions") => Ok(Command::Subscriptions { node: any_node(action)? }),
        (Request::Get, "affiliations") => Ok(Command::Affiliations { node: any_node(action)? }),
        (Request::Get, "default") => Ok(Command::DefaultOptions { node: any_node(action)? }),
        (_, "options") => subscription_options(request, action),
        (Request::Set, "create") => create(action, next),
        (Request::Set, "publish") => publish(action, next),
        (Request::Set, "retract") => retract(action),
        (Request::Set, "subscribe") => subscribe_with(action, next),
        (Request::Set, "unsubscribe") => {
            Ok(Command::Unsubscribe { node: node(action)?, jid: jid(action)? })
        }
        _ => Err(Refusal::BadRequest("no such request")),
    }
}

fn owner(request: Request, action: &Element) -> Result<OwnerCommand, Refusal> {
    match (request, action.name()) {
        (Request::Get, "configure") => Ok(OwnerCommand::Config { node: node(action)? }),
        (Request::Get, "default") => Ok(OwnerCommand::Default),
        (Request::Get, "affiliations") => Ok(OwnerCommand::Affiliations { node: node(action)? }),
        (Request::Get, "subscriptions") => Ok(OwnerCommand::Subscriptions { node: node(action)? }),
        (Request::Set, "configure") => configure(action),
        (Request::Set, "delete") => {
            let redirect = action.child("redirect", ns::PUBSUB_OWNER);
            let redirect = redirect.and_then(|redirect| redirect.attr("uri")).map(str::to_owned);
            Ok(OwnerCommand::Delete { node: node(action)?, redirect })
        }
        (Request::Set, "purge") => Ok(OwnerCommand::Purge { node: node(action)? }),
        (Request::Set, "affiliations") => affiliate(action),
        (Request::Set, "subscriptions") => subscribe(action),
        _ => Err(Refusal::BadRequest("no such request")),
    }
}

fn items(pubsub: &Element, action: &Element) -> Result<Command, Refusal> {
    let wanted = action.children().filter(|child| child.is("item", ns::PUBSUB));
    let ids = wanted.map(item_id).collect::<Result<Vec<_>, _>>()?;
    let newest = match action.attr("max_items") {
        Some(text) => {
            let number = text.trim().parse().ok();
            Some(number.ok_or(Refusal::BadRequest("max_items is not a number"))?)
        }
        None => None,
    };
    let page = pubsub.child("set", ns::RSM).map(PageRequest::parse).transpose()?;
    Ok(Command::Items(ItemsRequest { node: node(action)?, ids, newest, page }))
}

/// Section 8.1.3: the configuration follows and names no node of its own.
fn create(action: &Element, next: Option<&Element>) -> Result<Command, Refusal> {
    let configure = match next {
        Some(next) if next.name() == "configure" && next.attr("node").is_none() => Some(next),
        Some(_) => return Err(Refusal::BadRequest("only its configuration follows create")),
        None => None,
    };
    let config = match configure {
        Some(configure) => DataForm::within(configure)?,
        None => None,
    };
    if config.as_ref().and_then(DataForm::form_type).is_some_and(|type_| type_ != FORM_TYPE) {
        return Err(Refusal::BadRequest("not a configuration of a node"));
    }
    Ok(Command::Create { node: any_node(action)?, config })
}

fn publish(action: &Element, next: Option<&Element>) -> Result<Command, Refusal> {
    let mut children = action.children().filter(|child| child.is("item", ns::PUBSUB));
    let item = children.next().map(item).transpose()?;
    // Section 7.1.1: batches are gone since version 1.13.
    if children.next().is_some() {
        return Err(Refusal::BadRequest("only one item at a time"));
    }
    let options = match next {
        Some(next) if next.name() == "publish-options" => Some(options(next, OPTIONS_FORM_TYPE)?),
        Some(_) => return Err(Refusal::BadRequest("only its options follow publish")),
        None => None,
    };
    Ok(Command::Publish { node: node(action)?, item, options })
}

fn item(item: &Element) -> Result<ItemRequest, Refusal> {
    let id = match item.attr("id").filter(|id| !id.is_empty()) {
        Some(_) => Some(item_id(item)?),
        None => None,
    };
    Ok(ItemRequest { id, payloads: item.children().cloned().collect() })
}

/// Those of a publication (section 7.1.5) or of a subscription (section 6.3.5).
fn options(options: &Element, form_type: &str) -> Result<DataForm, Refusal> {
    let form = DataForm::within(options)?.ok_or(Refusal::InvalidOptions)?;
    let is_it = form.kind == FormKind::Submit && form.form_type() == Some(form_type);
    if is_it { Ok(form) } else { Err(Refusal::InvalidOptions) }
}

fn subscription_options(request: Request, action: &Element) -> Result<Command, Refusal> {
    let chosen = match request {
        Request::Get => None,
        Request::Set => Some(options(action, SUBSCRIBER_FORM_TYPE)?),
    };
    Ok(Command::Options { node: node(action)?, jid: jid(action)?, chosen })
}

/// Section 6.3.7: the options follow and name neither node nor subscriber.
fn subscribe_with(action: &Element, next: Option<&Element>) -> Result<Command, Refusal> {
    let is_bare = |next: &Element| next.attr("node").is_none() && next.attr("jid").is_none();
    let options = match next {
        None => None,
        Some(next) if next.name() == "options" && is_bare(next) => {
            Some(options(next, SUBSCRIBER_FORM_TYPE)?)
        }
        Some(_) => return Err(Refusal::BadRequest("only its options follow subscribe")),
    };
    Ok(Command::Subscribe { node: node(action)?, jid: jid(action)?, options })
}

fn retract(action: &Element) -> Result<Command, Refusal> {
    let node = node(action)?;
    let mut children = action.children().filter(|child| child.is("item", ns::PUBSUB));
    let item = children.next().ok_or(Refusal::ItemRequired)?;
    if children.next().is_some() {
        return Err(Refusal::BadRequest("only one item at a time"));
    }
    let notify = match action.attr("notify") {
        None | Some("0" | "false") => false,
        Some("1" | "true") => true,
        Some(_) => return Err(Refusal::BadRequest("notify is not a boolean")),
    };
    Ok(Command::Retract { node, id: item_id(item)?, notify })
}

fn configure(action: &Element) -> Result<OwnerCommand, Refusal> {
    let node = node(action)?;
    let form = DataForm::within(action)?.ok_or(Refusal::BadRequest("a form is missing"))?;
    match form.kind {
        FormKind::Cancel => Ok(OwnerCommand::Configure { node, form: None }),
        FormKind::Submit if form.form_type().is_none_or(|type_| type_ == FORM_TYPE) => {
            Ok(OwnerCommand::Configure { node, form: Some(form) })
        }
        _ => Err(Refusal::BadRequest("not a configuration of a node")),
    }
}

fn affiliate(action: &Element) -> Result<OwnerCommand, Refusal> {
    let mut changes: Vec<(Jid, Option<Affiliation>)> = Vec::new();
    for child in action.children().filter(|child| child.is("affiliation", ns::PUBSUB_OWNER)) {
        let jid: Jid = jid(child)?.bare().into();
        // Section 8.9.2.4.
        if changes.iter().any(|(other, _)| *other == jid) {
            return Err(Refusal::BadRequest("one affiliation for each entity"));
        }
        match child.attr("affiliation") {
            // Section 8.9.2.1: nothing said, nothing changed.
            None => {}
            Some("none") => changes.push((jid, None)),
            Some(word) => {
                let affiliation = word.parse().map_err(|_| bad_word())?;
                changes.push((jid, Some(affiliation)));
            }
        }
    }
    Ok(OwnerCommand::Affiliate { node: node(action)?, changes })
}

fn subscribe(action: &Element) -> Result<OwnerCommand, Refusal> {
    let mut changes = Vec::new();
    for child in action.children().filter(|child| child.is("subscription", ns::PUBSUB_OWNER)) {
        let jid = jid(child)?;
        match child.attr("subscription") {
            None => {}
            Some("none") => changes.push((jid, None)),
            Some("subscribed") => changes.push((jid, Some(SubscriptionState::Subscribed))),
            Some(_) => return Err(bad_word()),
        }
    }
    Ok(OwnerCommand::Subscribe { node: node(action)?, changes })
}

fn bad_word() -> Refusal {
    Refusal::NotAcceptable("no such state".to_owned())
}

fn node(action: &Element) -> Result<String, Refusal> {
    any_node(action)?.ok_or(Refusal::NodeIdRequired)
}

fn any_node(action: &Element) -> Result<Option<String>, Refusal> {
    let name = action.attr("node").filter(|name| !name.is_empty());
    match name {
        Some(name) if name.len() > MAX_ID => {
            Err(Refusal::BadRequest("the node's name is too long"))
        }
        name => Ok(name.map(str::to_owned)),
    }
}

fn item_id(item: &Element) -> Result<String, Refusal> {
    let id = item.attr("id").filter(|id| !id.is_empty()).ok_or(Refusal::ItemRequired)?;
    if id.len() > MAX_ID {
        return Err(Refusal::BadRequest("the item's id is too long"));
    }
    Ok(id.to_owned())
}

fn jid(action: &Element) -> Result<Jid, Refusal> {
    let text = action.attr("jid").ok_or(Refusal::JidRequired)?;
    text.parse().map_err(|_| Refusal::InvalidJid)
}

#[cfg(test)]
mod tests;
