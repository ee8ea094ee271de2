//! Conferences of one server with users of another.

use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;

use crate::CALLS;
use crate::client::Client;
use crate::dns::Dns;
use crate::neighbour::{Plan, Server};
use crate::participant::Participant;

const HERE: &str = "a.example";

/// Juliet's server, which has the room, and Romeo's.
async fn two_servers() -> (Server, Server) {
    let dns = Dns::start().await;
    let plan = |domain, accounts| Plan { domain, accounts, more: CALLS, ..Plan::default() };
    let here = Server::start(&dns, plan(HERE, &["juliet"])).await;
    dns.serve(&format!("calls.{HERE}"), "xmpp-server", here.address("s2s").port());
    (here, Server::start(&dns, plan("b.example", &["romeo"])).await)
}

async fn enter(server: &Server, name: &str) -> Participant {
    let address = server.address("c2s_tls");
    let client = Client::login_at(address, server.domain(), name, "one").await.unwrap();
    Participant::enter_from(client, name, HERE).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_of_another_server_takes_part_until_he_is_kicked() {
    let (here, there) = two_servers().await;
    let mut juliet = enter(&here, "juliet").await;
    juliet.unlock().await;
    juliet.call().await;
    let mut romeo = enter(&there, "romeo").await;
    romeo.call().await;
    romeo.receive("juliet").await;
    juliet.receive("romeo").await;
    for (listener, speaker) in [(&mut juliet, "romeo"), (&mut romeo, "juliet")] {
        listener.hears(RtpCodecKind::Audio, speaker).await;
        listener.hears(RtpCodecKind::Video, speaker).await;
    }
    juliet.kicks(&mut romeo, &format!("hall@conference.{HERE}")).await;
    romeo.is_kept_out().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_get_no_credentials_for_the_relay() {
    let (here, there) = two_servers().await;
    let ask = format!(
        "<iq type='get' id='relay' to='{HERE}'><services xmlns='urn:xmpp:extdisco:2'/></iq>"
    );
    let mut juliet = enter(&here, "juliet").await;
    juliet.unlock().await;
    let mut romeo = enter(&there, "romeo").await;
    for (participant, is_ours) in [(&mut juliet, true), (&mut romeo, false)] {
        participant.client.send(&ask).await.unwrap();
        let answer = participant.answer("relay").await;
        assert_eq!(answer.contains("password="), is_ours, "{answer}");
    }
}
