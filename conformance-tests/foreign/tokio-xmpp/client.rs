//! A client on tokio-xmpp's `StanzaStream` that waits for stanzas.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use futures_util::StreamExt;
use tokio::time::timeout;
use tokio_xmpp::Stanza;
use tokio_xmpp::connect::{DirectTlsServerConnector, DnsConfig, StartTlsServerConnector};
use tokio_xmpp::jid::Jid;
use tokio_xmpp::stanzastream::{Event, StanzaStage, StanzaStream, StanzaToken, StreamEvent};
use tokio_xmpp::xmlstream::Timeouts;
use xmpp_parsers::iq::{Iq, IqPayload};
use xmpp_parsers::message::{Lang, Message};
use xmpp_parsers::minidom::Element;
use xmpp_parsers::presence::{self, Presence};
use xmpp_parsers::roster::Roster;

use crate::target::{Account, Target, Transport};

/// Every wait for the server is bounded by this; a healthy one answers in milliseconds.
/// tokio-xmpp waits a second before it connects again.
const WAIT: Duration = Duration::from_secs(20);

/// Stanzas in each direction; no test has more under way.
const QUEUE: usize = 64;

pub(crate) struct Client {
    stream: StanzaStream,
    pub(crate) jid: Jid,
    held: Vec<Stanza>,
}

impl Client {
    /// Logs in at `address` and waits until the resource is bound.
    pub(crate) async fn login(
        target: &Target,
        account: &Account,
        transport: Transport,
        address: SocketAddr,
    ) -> Result<Self> {
        let jid: Jid = format!("{}@{}/rust", account.user, target.domain).parse()?;
        let dns = DnsConfig::addr(&address.to_string());
        let (password, timeouts) = (account.password.clone(), Timeouts::tight());
        let stream = match transport {
            Transport::StartTls => StanzaStream::new_c2s(
                StartTlsServerConnector::from(dns),
                jid.clone(),
                password,
                timeouts,
                QUEUE,
            ),
            Transport::DirectTls => StanzaStream::new_c2s(
                DirectTlsServerConnector::from(dns),
                jid.clone(),
                password,
                timeouts,
                QUEUE,
            ),
        };
        let mut client = Self { stream, jid, held: Vec::new() };
        match client.stream_event().await.context("login")? {
            StreamEvent::Reset { bound_jid, .. } => client.jid = bound_jid,
            other => bail!("{other:?} instead of a new stream"),
        }
        Ok(client)
    }

    /// Logs in directly and says that it is available.
    pub(crate) async fn online(
        target: &Target,
        account: &Account,
        transport: Transport,
    ) -> Result<Self> {
        let mut client =
            Self::login(target, account, transport, target.address(transport)?).await?;
        client.available().await?;
        Ok(client)
    }

    /// Asks for the roster (RFC 6121 3.1.6: answers to subscription requests go to those devices
    /// alone that did) and sends presence.
    pub(crate) async fn available(&mut self) -> Result<()> {
        let roster = Roster { ver: None, items: Vec::new() };
        self.request(Iq::from_get("roster", roster)).await?;
        self.send(Presence::available()).await;
        let own = self.jid.clone();
        self.expect("own presence", |stanza| from(stanza) == Some(&own)).await?;
        Ok(())
    }

    pub(crate) async fn send(&self, stanza: impl Into<Stanza>) -> StanzaToken {
        self.stream.send(Box::new(stanza.into())).await
    }

    pub(crate) async fn say(&self, to: &Jid, body: &str) -> StanzaToken {
        self.send(Message::chat(to.clone()).with_body(Lang::new(), body.to_owned())).await
    }

    /// The first stanza that came or comes and matches; the others are held.
    pub(crate) async fn expect(
        &mut self,
        what: &str,
        matches: impl Fn(&Stanza) -> bool,
    ) -> Result<Stanza> {
        if let Some(at) = self.held.iter().position(&matches) {
            return Ok(self.held.remove(at));
        }
        let wait = async {
            loop {
                match self.stream.next().await {
                    Some(Event::Stanza(stanza)) if matches(&stanza) => return Ok(stanza),
                    Some(Event::Stanza(stanza)) => self.held.push(stanza),
                    Some(Event::Stream(event)) => bail!("{event:?} while waiting for {what}"),
                    None => bail!("the stream ended while waiting for {what}"),
                }
            }
        };
        timeout(WAIT, wait).await.map_err(|_| anyhow!("no {what} in {WAIT:?}"))?
    }

    pub(crate) async fn expect_body(&mut self, text: &str) -> Result<Stanza> {
        self.expect(text, |stanza| body(stanza) == Some(text)).await
    }

    pub(crate) async fn expect_presence(&mut self, of: &Jid, kind: presence::Type) -> Result<()> {
        let bare = of.to_bare();
        self.expect(&format!("{kind:?} presence of {bare}"), |stanza| match stanza {
            Stanza::Presence(presence) => {
                presence.type_ == kind
                    && presence.from.as_ref().is_some_and(|from| from.to_bare() == bare)
            }
            _ => false,
        })
        .await?;
        Ok(())
    }

    /// Sends a request to the server and returns the payload of its result.
    pub(crate) async fn request(&mut self, request: Iq) -> Result<Option<Element>> {
        let id = request.id().to_owned();
        self.send(request).await;
        let answer = self.expect("answer", |stanza| match stanza {
            Stanza::Iq(Iq::Result { id: its, .. } | Iq::Error { id: its, .. }) => *its == id,
            _ => false,
        });
        match answer.await? {
            Stanza::Iq(iq) => match iq.into_payload() {
                IqPayload::Result(payload) => Ok(payload),
                IqPayload::Error(error) => bail!("{error:?}"),
                IqPayload::Get(_) | IqPayload::Set(_) => bail!("a request as an answer"),
            },
            other => bail!("{other:?}"),
        }
    }

    pub(crate) async fn stream_event(&mut self) -> Result<StreamEvent> {
        let wait = async {
            loop {
                match self.stream.next().await {
                    Some(Event::Stream(event)) => return Ok(event),
                    Some(Event::Stanza(stanza)) => self.held.push(stanza),
                    None => bail!("the stream ended"),
                }
            }
        };
        timeout(WAIT, wait).await.map_err(|_| anyhow!("no change of the stream in {WAIT:?}"))?
    }

    /// How many of the held messages have this body.
    pub(crate) fn held_bodies(&self, text: &str) -> usize {
        self.held.iter().filter(|stanza| body(stanza) == Some(text)).count()
    }

    pub(crate) async fn close(self) -> Result<()> {
        timeout(WAIT, self.stream.close()).await.context("close")
    }
}

pub(crate) async fn acknowledged(mut token: StanzaToken) -> Result<()> {
    let state =
        timeout(WAIT, token.wait_for(StanzaStage::Acked)).await.context("acknowledgement")?;
    match state {
        Some(state) if state == StanzaStage::Acked => Ok(()),
        other => bail!("{other:?} instead of an acknowledgement"),
    }
}

fn body(stanza: &Stanza) -> Option<&str> {
    match stanza {
        Stanza::Message(message) => message.bodies.values().next().map(String::as_str),
        _ => None,
    }
}

fn from(stanza: &Stanza) -> Option<&Jid> {
    match stanza {
        Stanza::Presence(presence) => presence.from.as_ref(),
        Stanza::Message(message) => message.from.as_ref(),
        Stanza::Iq(iq) => iq.from(),
    }
}
