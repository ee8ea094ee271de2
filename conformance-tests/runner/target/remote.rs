//! A server that somebody else runs. Accounts are made by XEP-0077, before logging in.

use anyhow::{Context, bail};
use tokio::time::{Duration, timeout};

use super::Account;
use crate::client::{Connection, Endpoint, Event};
use crate::script::Transport;
use crate::xml::{Element, NS_STREAM};

const LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct Remote {
    pub(super) endpoint: Endpoint,
    pub(super) domain: String,
}

impl Remote {
    pub(super) fn new(host: &str, port: u16, domain: &str) -> Self {
        let endpoint = Endpoint { host: host.to_owned(), c2s: port, ..Endpoint::default() };
        Self { endpoint, domain: domain.to_owned() }
    }

    pub(super) async fn create_account(
        &self,
        account: &Account,
        admin: bool,
    ) -> anyhow::Result<()> {
        anyhow::ensure!(!admin, "no administrator can be made on a server of others");
        timeout(LIMIT, self.register(account)).await.context("registration took too long")?
    }

    async fn register(&self, account: &Account) -> anyhow::Result<()> {
        let domain = &self.domain;
        let mut connection = Connection::open(&self.endpoint, Transport::StartTls, domain).await?;
        connection.open_stream(domain, None).await?;
        element(&mut connection, |e| e.is(NS_STREAM, "features")).await?;
        connection.send_elements("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").await?;
        element(&mut connection, |e| e.name == "proceed").await?;
        connection.start_tls(domain).await?;
        connection.open_stream(domain, None).await?;
        element(&mut connection, |e| e.is(NS_STREAM, "features")).await?;
        let iq = format!(
            "<iq type='set' id='r' to='{domain}'><query xmlns='jabber:iq:register'>\
             <username>{}</username><password>{}</password></query></iq>",
            account.local, account.password
        );
        connection.send_elements(&iq).await?;
        let answer = element(&mut connection, |e| e.attr("id") == Some("r")).await?;
        anyhow::ensure!(answer.attr("type") == Some("result"), "{}", answer.to_pretty());
        connection.close_stream().await
    }
}

async fn element(
    connection: &mut Connection,
    fits: impl Fn(&Element) -> bool,
) -> anyhow::Result<Element> {
    loop {
        match connection.next().await {
            Event::Element(e) if fits(&e) => return Ok(e),
            Event::Closed(how) => bail!("disconnected: {how}"),
            _ => {}
        }
    }
}
