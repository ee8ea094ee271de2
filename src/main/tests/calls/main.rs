//! Conferences through the built program: clients that speak Jingle over XMPP, with peer
//! connections of another WebRTC implementation.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test that cannot go on has failed.

mod abroad;
#[path = "../federation/certificates.rs"]
#[allow(dead_code)]
mod certificates;
#[path = "../black_box/client.rs"]
#[allow(dead_code)]
mod client;
#[path = "../federation/dns.rs"]
#[allow(dead_code)]
mod dns;
#[path = "../federation/server.rs"]
#[allow(dead_code)]
mod neighbour;
mod participant;
mod peer;
mod plain;
mod recording;
mod relay;
mod sdp;
#[path = "../black_box/server.rs"]
#[allow(dead_code)]
mod server;
mod tone;

use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use wello_wire::ns;
use wello_wire::payload::jingle::{Action, Condition, Jingle};
use wello_wire::xml::Element;

use participant::{FOCUS, Participant, ROOM, Way};
use server::Server;

const CALLS: &str = "[calls]\naddresses = [\"127.0.0.1\"]\n";

async fn serve(accounts: &[&str]) -> Server {
    let accounts: Vec<String> = accounts.iter().map(|name| (*name).to_owned()).collect();
    Server::start_with_media("sqlite:wello.db", &accounts, CALLS).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hear_and_see_each_other() {
    let server = serve(&["juliet", "romeo"]).await;
    let mut juliet = Participant::enter(&server, "juliet").await;
    juliet.unlock().await;
    juliet.call().await;
    let mut romeo = Participant::enter(&server, "romeo").await;
    romeo.call().await;
    romeo.receive("juliet").await;
    juliet.receive("romeo").await;
    for (listener, speaker) in [(&mut juliet, "romeo"), (&mut romeo, "juliet")] {
        listener.hears(RtpCodecKind::Audio, speaker).await;
        listener.hears(RtpCodecKind::Video, speaker).await;
    }
    // One leaves: the other is told.
    romeo.say(&Jingle::new(Action::SessionTerminate, "up-romeo")).await;
    let ended = juliet.jingle(Action::SessionTerminate).await;
    assert_eq!(ended.reason.unwrap().condition, Condition::Success);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_reached_by_tcp_alone_takes_part() {
    let server = serve(&["juliet", "romeo"]).await;
    let mut juliet = Participant::enter(&server, "juliet").await;
    juliet.way = Way::OnlyTcp;
    juliet.unlock().await;
    juliet.call().await;
    let mut romeo = Participant::enter(&server, "romeo").await;
    romeo.call().await;
    romeo.receive("juliet").await;
    juliet.receive("romeo").await;
    romeo.hears(RtpCodecKind::Video, "juliet").await;
    juliet.hears(RtpCodecKind::Video, "romeo").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_kicked_is_out_of_the_call() {
    let server = serve(&["juliet", "romeo"]).await;
    let mut juliet = Participant::enter(&server, "juliet").await;
    juliet.unlock().await;
    juliet.call().await;
    let mut romeo = Participant::enter(&server, "romeo").await;
    romeo.call().await;
    juliet.receive("romeo").await;
    juliet.kicks(&mut romeo, ROOM).await;
    let ended = juliet.jingle(Action::SessionTerminate).await;
    assert_eq!(ended.reason.unwrap().condition, Condition::Success);
    // And cannot come back without entering the room.
    romeo.is_kept_out().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_all_are_told_of_are_bounded() {
    let server = serve(&["juliet"]).await;
    let mut juliet = Participant::enter(&server, "juliet").await;
    juliet.unlock().await;
    juliet.call().await;
    for _ in 0..60 {
        let mut mute = Jingle::new(Action::SessionInfo, "up-juliet");
        mute.others.push(Element::new("mute", ns::JINGLE_RTP_INFO));
        juliet.say(&mute).await;
    }
    let refused = juliet.refusal().await;
    assert!(refused.contains("<resource-constraint"), "{refused}");
    // What concerns nobody else goes on.
    juliet.say(&Jingle::new(Action::SessionTerminate, "up-juliet")).await;
    let again = juliet.try_call("up-juliet").await;
    assert!(again.contains("<resource-constraint"), "{again}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_tells_where_its_calls_are() {
    let server = serve(&["juliet"]).await;
    let mut juliet = Participant::enter(&server, "juliet").await;
    juliet.unlock().await;
    let ask = |to: &str| {
        format!(
            "<iq type='get' id='disco' to='{to}'>\
             <query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
        )
    };
    juliet.client.send(&ask(ROOM)).await.unwrap();
    let answer = juliet.client.find("<iq").await.unwrap();
    assert!(answer.contains("urn:voice.channel:voice:0") && answer.contains(FOCUS), "{answer}");
    juliet.client.send(&ask(FOCUS)).await.unwrap();
    let answer = juliet.client.find("<iq").await.unwrap();
    assert!(answer.contains("urn:xmpp:jingle:av-conferences:0"), "{answer}");
    assert!(answer.contains("audio-video"), "{answer}");
}
