//! The tests.

use std::collections::BTreeSet;
use std::env::current_exe;
use std::future::Future;
use std::pin::Pin;

use anyhow::{Context, Result, ensure};
use sasl::common::{ChannelBinding, Credentials};
use tokio::process::Command;
use tokio_xmpp::client_login;
use tokio_xmpp::connect::{
    DirectTlsServerConnector, DnsConfig, ServerConnector, StartTlsServerConnector,
};
use tokio_xmpp::jid::{BareJid, Jid};
use tokio_xmpp::stanzastream::StreamEvent;
use tokio_xmpp::xmlstream::Timeouts;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ns::JABBER_CLIENT;
use xmpp_parsers::presence::{Presence, Type};
use xmpp_parsers::roster::{Ask, Group, Item, Roster, Subscription};

use crate::client::{Client, acknowledged};
use crate::relay::Relay;
use crate::target::{Target, Transport};

type Body<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

pub(crate) struct Test<'a> {
    pub(crate) name: String,
    pub(crate) body: Body<'a>,
}

pub(crate) fn tests(target: &Target) -> Vec<Test<'_>> {
    let mut tests = tests_over(target, "starttls", Transport::StartTls);
    tests.extend(tests_over(target, "direct TLS", Transport::DirectTls));
    tests
}

fn tests_over<'a>(target: &'a Target, kind: &str, over: Transport) -> Vec<Test<'a>> {
    let mut tests = Vec::new();
    let mut add = |name: &str, body: Body<'a>| {
        tests.push(Test { name: format!("{kind}: {name}"), body });
    };
    add("login and close", Box::pin(login_and_close(target, over)));
    for mechanism in ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"] {
        add(&format!("login by {mechanism}"), Box::pin(login_by(target, over, mechanism)));
    }
    add("wrong password is refused", Box::pin(wrong_password(target, over)));
    add("roster", Box::pin(roster(target, over)));
    add("messages both ways", Box::pin(messages(target, over)));
    add("presence subscription", Box::pin(subscription(target, over)));
    add("stanzas are acknowledged", Box::pin(acknowledgement(target, over)));
    add("resumes a cut connection", Box::pin(resumption(target, over)));
    if over == Transport::DirectTls {
        add("wrong CA fails", Box::pin(wrong_ca(target)));
    }
    tests
}

async fn login_and_close(target: &Target, over: Transport) -> Result<()> {
    let client = Client::online(target, &target.new_account("login")?, over).await?;
    ensure!(client.jid.resource().is_some(), "no resource");
    client.close().await
}

/// SASL alone, so that the mechanism is known to be the one that was asked for.
async fn login_by(target: &Target, over: Transport, mechanism: &str) -> Result<()> {
    let account = target.new_account("login")?;
    authenticate(target, over, &account.user, &account.password, Some(mechanism)).await
}

async fn wrong_password(target: &Target, over: Transport) -> Result<()> {
    let account = target.new_account("login")?;
    let refused = authenticate(target, over, &account.user, "not it", None).await;
    let error = refused.err().context("let in with a wrong password")?;
    ensure!(format!("{error:?}").contains("NotAuthorized"), "{error:?}");
    Ok(())
}

/// Authenticates over direct TLS by whatever tokio-xmpp prefers.
pub(crate) async fn login_once(target: &Target, user: &str, password: &str) -> Result<()> {
    authenticate(target, Transport::DirectTls, user, password, None).await
}

async fn authenticate(
    target: &Target,
    over: Transport,
    user: &str,
    password: &str,
    mechanism: Option<&str>,
) -> Result<()> {
    let dns = DnsConfig::addr(&target.address(over)?.to_string());
    match over {
        Transport::StartTls => {
            authenticate_by(StartTlsServerConnector::from(dns), target, user, password, mechanism)
                .await
        }
        Transport::DirectTls => {
            authenticate_by(DirectTlsServerConnector::from(dns), target, user, password, mechanism)
                .await
        }
    }
}

async fn authenticate_by<C: ServerConnector>(
    connector: C,
    target: &Target,
    user: &str,
    password: &str,
    mechanism: Option<&str>,
) -> Result<()> {
    let jid: Jid = format!("{user}@{}", target.domain).parse()?;
    let (stream, binding) = connector.connect(&jid, JABBER_CLIENT, Timeouts::tight()).await?;
    let (features, stream) = stream.recv_features().await?;
    let mut offered = features.sasl_mechanisms;
    let mut binding = binding;
    if let Some(mechanism) = mechanism {
        ensure!(offered.contains(mechanism), "{mechanism} is not among {offered:?}");
        if !mechanism.ends_with("-PLUS") {
            binding = ChannelBinding::None;
        }
        offered = BTreeSet::from([mechanism.to_owned()]);
    }
    let credentials = Credentials::default()
        .with_username(user)
        .with_password(password)
        .with_channel_binding(binding);
    client_login(stream, offered, credentials).await?;
    Ok(())
}

async fn wrong_ca(target: &Target) -> Result<()> {
    let account = target.new_account("login")?;
    let login = |ca: Option<&str>| {
        let mut command = Command::new(current_exe()?);
        command.args(["login", &target.path, &account.user, &account.password]);
        if let Some(ca) = ca {
            command.env("SSL_CERT_FILE", ca);
        }
        Ok::<_, anyhow::Error>(command)
    };
    ensure!(login(None)?.status().await?.success(), "the right CA fails too");
    ensure!(!login(Some(&target.wrong_ca))?.status().await?.success(), "let in with a wrong CA");
    Ok(())
}

async fn roster(target: &Target, over: Transport) -> Result<()> {
    let mut client = Client::online(target, &target.new_account("romeo")?, over).await?;
    let nurse: BareJid = "nurse@example.org".parse()?;
    let item = Item {
        jid: nurse.clone(),
        name: Some("Nurse".to_owned()),
        subscription: Subscription::None,
        ask: Ask::None,
        groups: vec![Group("Staff".to_owned())],
        approved: None,
    };
    let add = Roster { ver: None, items: vec![item] };
    client.request(Iq::from_set("roster-set", add)).await?;
    let get = Roster { ver: None, items: Vec::new() };
    let answer = client.request(Iq::from_get("roster-get", get)).await?;
    let roster = Roster::try_from(answer.context("an empty answer")?)?;
    let [item] = roster.items.as_slice() else { anyhow::bail!("{roster:?}") };
    ensure!(item.jid == nurse && item.name.as_deref() == Some("Nurse"), "{item:?}");
    ensure!(item.groups == [Group("Staff".to_owned())], "{item:?}");
    client.close().await
}

async fn pair(target: &Target, over: Transport) -> Result<(Client, Client)> {
    let romeo = Client::online(target, &target.new_account("romeo")?, over).await?;
    let juliet =
        Client::online(target, &target.new_account("juliet")?, Transport::DirectTls).await?;
    Ok((romeo, juliet))
}

async fn messages(target: &Target, over: Transport) -> Result<()> {
    let (mut romeo, mut juliet) = pair(target, over).await?;
    let text = "wherefore art thou é 🚀 <&>";
    romeo.say(&juliet.jid, text).await;
    juliet.expect_body(text).await?;
    let account: Jid = romeo.jid.to_bare().into();
    juliet.say(&account, "here").await;
    romeo.expect_body("here").await?;
    romeo.close().await?;
    juliet.close().await
}

async fn subscription(target: &Target, over: Transport) -> Result<()> {
    let (mut romeo, mut juliet) = pair(target, over).await?;
    romeo.send(Presence::subscribe().with_to(juliet.jid.to_bare())).await;
    juliet.expect_presence(&romeo.jid, Type::Subscribe).await?;
    juliet.send(Presence::subscribed().with_to(romeo.jid.to_bare())).await;
    romeo.expect_presence(&juliet.jid, Type::Subscribed).await?;
    romeo.expect_presence(&juliet.jid, Type::None).await?;
    let juliets = juliet.jid.clone();
    juliet.close().await?;
    romeo.expect_presence(&juliets, Type::Unavailable).await?;
    romeo.close().await
}

async fn acknowledgement(target: &Target, over: Transport) -> Result<()> {
    let (romeo, mut juliet) = pair(target, over).await?;
    let token = romeo.say(&juliet.jid, "count me").await;
    juliet.expect_body("count me").await?;
    acknowledged(token).await
}

async fn resumption(target: &Target, over: Transport) -> Result<()> {
    let relay = Relay::to(target.address(over)?).await?;
    let account = target.new_account("romeo")?;
    let mut romeo = Client::login(target, &account, over, relay.address).await?;
    romeo.available().await?;
    let mut juliet =
        Client::online(target, &target.new_account("juliet")?, Transport::DirectTls).await?;
    let before = romeo.say(&juliet.jid, "before the cut").await;
    juliet.expect_body("before the cut").await?;
    acknowledged(before).await?;

    relay.cut();
    let suspended = romeo.stream_event().await?;
    ensure!(matches!(suspended, StreamEvent::Suspended), "{suspended:?}");
    let meanwhile = juliet.say(&romeo.jid, "meanwhile").await;
    acknowledged(meanwhile).await?;
    let resumed = romeo.stream_event().await?;
    ensure!(matches!(resumed, StreamEvent::Resumed), "{resumed:?} instead of the old session");

    romeo.expect_body("meanwhile").await?;
    romeo.say(&juliet.jid, "after the cut").await;
    juliet.expect_body("after the cut").await?;
    ensure!(juliet.held_bodies("before the cut") == 0, "delivered twice");
    ensure!(romeo.held_bodies("meanwhile") == 0, "delivered twice");
    romeo.close().await?;
    juliet.close().await
}
