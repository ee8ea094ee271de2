//! What the server does at nodes on behalf of their owner, or as their owner.

use std::sync::Arc;

use wello_kernel::Kernel;
use wello_store::{ItemPage, PubSubItem};
use wello_wire::jid::{BareJid, Jid, JidError};
use wello_wire::payload::data_form::{DataForm, Field, FormKind};
use wello_wire::xml::Element;

use super::config::{AccessModel, NodeConfig};
use super::event::{Outcome, parse};
use super::host::{Call, Host, Node};
use super::notify;
use super::owner;
use super::policy;
use super::publish;
use super::refusals::Refusal;
use super::request::ItemRequest;
use super::{PubSub, service_of};

/// Nodes as the server itself uses them.
pub(crate) struct Own<'a> {
    pub(crate) service: &'a PubSub,
    pub(crate) kernel: &'a Arc<Kernel>,
    host: Host,
    owner: Jid,
}

/// Bytes of what is read at once.
const MAX_BYTES: usize = 1024 * 1024;

/// An item with its payload read.
pub(crate) struct Read {
    pub(crate) id: String,
    pub(crate) payload: Element,
}

impl<'a> Own<'a> {
    pub(crate) fn of(service: &'a PubSub, kernel: &'a Arc<Kernel>, account: &BareJid) -> Own<'a> {
        let (host, owner) = (Host::Account(account.clone()), account.clone().into());
        Own { service, kernel, host, owner }
    }

    /// Nodes of the service below a host, in the name of the host.
    pub(crate) fn of_host(
        service: &'a PubSub,
        kernel: &'a Arc<Kernel>,
        host: &BareJid,
    ) -> Result<Own<'a>, JidError> {
        let owner = host.clone().into();
        let host = Host::Service(service_of(host.as_str()).parse()?);
        Ok(Own { service, kernel, host, owner })
    }

    pub(crate) fn account(&self) -> &BareJid {
        self.host.address()
    }

    fn call(&self) -> Call<'_> {
        Call { kernel: self.kernel, host: &self.host, from: &self.owner }
    }

    pub(crate) async fn node(&self, name: &str) -> Result<Option<Node>, Refusal> {
        self.call().find(name).await
    }

    /// What a new node of that name is like.
    pub(crate) fn defaults(&self, name: &str) -> NodeConfig {
        self.host.defaults(self.kernel, name)
    }

    /// Gives the node this access model; makes it if it is not there.
    pub(crate) async fn set_access(&self, name: &str, access: AccessModel) -> Result<(), Refusal> {
        self.make_node(name, access).await?;
        let form = DataForm::new(FormKind::Submit)
            .with(Field::untyped("pubsub#access_model").with_value(access.value()));
        let done = owner::configure(&self.call(), name, Some(&form)).await?;
        self.tell(done).await;
        Ok(())
    }

    /// Makes the node if it is not there.
    pub(crate) async fn make_node(&self, name: &str, access: AccessModel) -> Result<(), Refusal> {
        self.make(name, NodeConfig { access, ..self.defaults(name) }).await
    }

    /// The same, as nodes are that nobody has configured.
    pub(crate) async fn make_default_node(&self, name: &str) -> Result<(), Refusal> {
        self.make(name, self.defaults(name)).await
    }

    async fn make(&self, name: &str, config: NodeConfig) -> Result<(), Refusal> {
        let call = self.call();
        if call.find(name).await?.is_some() {
            return Ok(());
        }
        match call.create(name, config).await {
            Ok(_) | Err(Refusal::Conflict) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }

    /// Publishes as the owner would, and tells those whom it concerns.
    pub(crate) async fn publish(
        &self,
        node: &str,
        id: Option<&str>,
        payload: Element,
    ) -> Result<(), Refusal> {
        let item = ItemRequest { id: id.map(str::to_owned), payloads: vec![payload] };
        let done = publish::publish(&self.call(), node, Some(item), None).await?;
        self.tell(done).await;
        Ok(())
    }

    pub(crate) async fn retract(&self, node: &str, id: &str) -> Result<(), Refusal> {
        let done = publish::retract(&self.call(), node, id.to_owned(), true).await?;
        self.tell(done).await;
        Ok(())
    }

    async fn tell(&self, done: Outcome) {
        for event in done.events {
            notify::tell(self.service, self.kernel, &self.host, event).await;
        }
    }

    /// The items of a node, as many as fit into memory.
    pub(crate) async fn items(&self, node: &Node) -> Result<Vec<Read>, Refusal> {
        let page = ItemPage { max: u32::MAX, max_bytes: MAX_BYTES, ..ItemPage::default() };
        let found = self.kernel.store.pubsub.items(node.row.id, &page).await?;
        Ok(found.unwrap_or_default().items.into_iter().filter_map(read).collect())
    }

    pub(crate) async fn item(&self, node: &Node, id: &str) -> Result<Option<Read>, Refusal> {
        let ids = [id.to_owned()];
        let items = self.kernel.store.pubsub.items_by_id(node.row.id, &ids, MAX_BYTES).await?;
        Ok(items.into_iter().find_map(read))
    }

    pub(crate) async fn last(&self, node: &Node) -> Result<Option<Read>, Refusal> {
        let item = self.kernel.store.pubsub.last_item(node.row.id).await?;
        Ok(item.and_then(read))
    }

    /// Whether somebody may read the node.
    pub(crate) async fn lets_read(&self, node: &Node, who: &BareJid) -> Result<bool, Refusal> {
        let standing = self.call().standing_of(node, who).await?;
        Ok(policy::may_read(&node.config, &standing).is_ok())
    }
}

fn read(item: PubSubItem) -> Option<Read> {
    Some(Read { payload: parse(item.payload.as_deref()?)?, id: item.id })
}
