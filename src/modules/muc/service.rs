//! What comes to the service, sorted.

use std::sync::Arc;

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_kernel::hooks::{AccountEvents, DiscoQuery, IqAnswer, IqRequest, Service};
use wello_kernel::sessions::Session;
use wello_store::Ticket;
use wello_wire::error::StanzaError;
use wello_wire::jid::BareJid;
use wello_wire::ns;
use wello_wire::payload::disco::{DiscoInfo, DiscoItem};
use wello_wire::stanza::{IqType, Kind, Stanza};
use wello_wire::xml::{Element, Node};

use super::Muc;
use super::room::{Effects, Room};
use super::search::SEARCH;

#[async_trait]
impl Service for Muc {
    async fn info(&self, _kernel: &Arc<Kernel>, _domain: &BareJid) -> DiscoInfo {
        self.service_info()
    }

    async fn items(&self, kernel: &Arc<Kernel>, query: &DiscoQuery) -> Vec<DiscoItem> {
        self.service_items(kernel, &query.to).await
    }

    async fn answer(
        &self,
        kernel: &Arc<Kernel>,
        request: IqRequest<'_>,
    ) -> Result<IqAnswer, StanzaError> {
        match request.payload.ns() {
            SEARCH => self.search(kernel, &request).await.map(IqAnswer::from),
            _ => Err(StanzaError::service_unavailable("")),
        }
    }

    async fn handle(
        &self,
        kernel: &Arc<Kernel>,
        stanza: Stanza,
        session: Option<&Arc<Session>>,
    ) -> Option<Ticket> {
        let handled = match stanza.kind {
            Kind::Presence => self.handle_presence(kernel, &stanza, session).await,
            Kind::Message => self.handle_message(kernel, &stanza, session).await,
            Kind::Iq => self.handle_any_iq(kernel, &stanza, session).await,
        };
        match handled {
            Ok(ticket) => ticket,
            Err(error) => {
                if let Some(refusal) = refusal(&stanza, &error) {
                    kernel.answer(session, refusal).await;
                }
                None
            }
        }
    }

    async fn shut_down(&self, kernel: &Arc<Kernel>) {
        for live in self.rooms.all() {
            let mut empty = |room: &mut Room, fx: &mut Effects| {
                room.shut_down(fx);
                Ok(())
            };
            self.run_on(kernel, &live, None, &mut empty).await;
        }
    }
}

/// An error that says of presence that it comes from a room: clients tell it by that (section
/// 7.2.5 and those that follow).
fn refusal(stanza: &Stanza, error: &StanzaError) -> Option<Stanza> {
    let mut refusal = stanza.refusal(error)?;
    if stanza.kind == Kind::Presence {
        refusal.edit(|nodes| nodes.insert(0, Node::Element(Element::new("x", ns::MUC))));
    }
    Some(refusal)
}

impl Muc {
    async fn handle_any_iq(
        &self,
        kernel: &Arc<Kernel>,
        stanza: &Stanza,
        session: Option<&Arc<Session>>,
    ) -> Result<Option<Ticket>, StanzaError> {
        match stanza.iq_type() {
            Some(IqType::Get | IqType::Set) => self.handle_iq(kernel, stanza, session).await,
            _ => {
                self.relay_answer(kernel, stanza).await;
                Ok(None)
            }
        }
    }
}

/// An account that is no more is in no room and on no list.
#[async_trait]
impl AccountEvents for Muc {
    async fn deleting(&self, kernel: &Arc<Kernel>, account: &BareJid) {
        let mut forget = |room: &mut Room, fx: &mut Effects| {
            room.forget(account, fx);
            Ok(())
        };
        match kernel.store.rooms.affiliated(account.as_str()).await {
            Ok(rooms) => {
                for jid in rooms.iter().filter_map(|found| found.jid.parse::<BareJid>().ok()) {
                    // A room that has ended meanwhile remembers nobody.
                    let _ = self.run(kernel, &jid, None, &mut forget).await;
                }
            }
            Err(error) => tracing::error!(%account, %error, "rooms of an account not read"),
        }
        for live in self.rooms.all() {
            self.run_on(kernel, &live, None, &mut forget).await;
        }
    }
}
