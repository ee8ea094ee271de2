//! What goes wrong on the way to the focus.

use wello_wire::payload::jingle::{Condition, Content, Transport};

use super::dialects::start;
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_certificate_than_was_told_ends_the_session() {
    let (_server, mut juliet) = start(&["juliet"]).await;
    let mut peer = Peer::new(juliet.hearing.clone()).await;
    let mut jingle = Jingle::new(Action::SessionInitiate, "up-juliet");
    jingle.contents = contents(&peer.offer("juliet").await);
    jingle.bundle = jingle.contents.iter().map(|content| content.name.clone()).collect();
    let transports = jingle.contents.iter_mut().filter_map(|content| content.transport.as_mut());
    for fingerprint in transports.filter_map(|transport| transport.fingerprint.as_mut()) {
        fingerprint.bytes[0] ^= 1;
    }
    juliet.say(&jingle).await;
    let answer = juliet.jingle(Action::SessionAccept).await;
    peer.accepted(sdp(&answer, "recvonly")).await;
    let ended = juliet.jingle(Action::SessionTerminate).await;
    assert_eq!(ended.reason.unwrap().condition, Condition::SecurityError);
    peer.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transport_begins_anew_with_new_credentials() {
    let (server, mut juliet) = start(&["juliet", "romeo"]).await;
    juliet.call().await;
    let mut romeo = Participant::enter(&server, "romeo").await;
    let mut peer = Peer::new(romeo.hearing.clone()).await;
    let mut jingle = Jingle::new(Action::SessionInitiate, "up-romeo");
    jingle.contents = contents(&peer.offer("romeo").await);
    jingle.bundle = jingle.contents.iter().map(|content| content.name.clone()).collect();
    romeo.say(&jingle).await;
    let mut answer = romeo.jingle(Action::SessionAccept).await;
    peer.accepted(sdp(&answer, "recvonly")).await;
    peer.connected().await;
    juliet.receive("romeo").await;
    juliet.hears(RtpCodecKind::Audio, "romeo").await;

    let fresh = contents(&peer.offer_anew().await);
    let restart = fresh.iter().map(|content| Content {
        description: None,
        senders: None,
        transport: content.transport.clone(),
        ..content.clone()
    });
    let mut jingle = Jingle::new(Action::TransportInfo, "up-romeo");
    jingle.contents = restart.collect();
    romeo.say(&jingle).await;
    let renewed = romeo.jingle(Action::TransportInfo).await;
    let renewed = renewed.contents[0].transport.clone().unwrap();
    for transport in answer.contents.iter_mut().filter_map(|content| content.transport.as_mut()) {
        let fingerprint = transport.fingerprint.take();
        *transport = Transport { fingerprint, ..renewed.clone() };
    }
    peer.accepted(sdp(&answer, "recvonly")).await;
    juliet.forget_what_came();
    juliet.hears(RtpCodecKind::Audio, "romeo").await;
    peer.stop();
}
