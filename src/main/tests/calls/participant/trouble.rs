//! What goes wrong on the way to the focus.

use wello_wire::payload::jingle::{Content, Transport};

use super::dialects::start;
use super::*;

/// What a client tells is that of another certificate than it has.
fn forge(jingle: &mut Jingle) {
    let transports = jingle.contents.iter_mut().filter_map(|content| content.transport.as_mut());
    for fingerprint in transports.filter_map(|transport| transport.fingerprint.as_mut()) {
        fingerprint.bytes[0] ^= 1;
    }
}

impl Participant {
    /// Joins with a certificate of which it tells something else.
    async fn call_forging(&mut self) {
        let mut peer = Peer::new(self.hearing.clone()).await;
        let mut jingle = Jingle::new(Action::SessionInitiate, "forged");
        jingle.contents = contents(&peer.offer(&self.name).await);
        jingle.bundle = jingle.contents.iter().map(|content| content.name.clone()).collect();
        forge(&mut jingle);
        self.say(&jingle).await;
        let answer = self.jingle(Action::SessionAccept).await;
        peer.accepted(sdp(&answer, "recvonly")).await;
        self.peers.push(peer);
    }

    /// Takes what is offered by `offered` likewise; returns the session of it.
    async fn take_forging(&mut self, offered: Action, accept: Action) -> String {
        let offer = self.jingle(offered).await;
        let mut peer = Peer::new(self.hearing.clone()).await;
        let answer = peer.answer(sdp(&offer, "sendonly")).await;
        let mut jingle = Jingle::new(accept, &offer.sid);
        jingle.contents = contents(&answer);
        let tags = offer.others.into_iter();
        jingle.others = tags.filter(|other| other.ns() == ns::JINGLE_PARTICIPANT).collect();
        forge(&mut jingle);
        self.say(&jingle).await;
        self.peers.push(peer);
        offer.sid
    }

    /// Waits for the end of what was insecure.
    async fn is_refused(&mut self, action: Action, sid: &str) {
        let ended = self.jingle(action).await;
        assert_eq!(ended.sid, sid);
        assert_eq!(ended.reason.unwrap().condition, Condition::SecurityError);
    }
}

/// The one by which somebody sends, and the one by which he gets what the other sends.
async fn sessions_are_refused(forger: &mut Participant, other: &mut Participant) {
    forger.call_forging().await;
    forger.is_refused(Action::SessionTerminate, "forged").await;
    forger.call().await;
    other.call().await;
    let sid = forger.take_forging(Action::SessionInitiate, Action::SessionAccept).await;
    forger.is_refused(Action::SessionTerminate, &sid).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_certificate_than_was_told_ends_a_session() {
    let (server, mut juliet) = start(&["juliet", "romeo"]).await;
    let mut romeo = Participant::enter(&server, "romeo").await;
    sessions_are_refused(&mut romeo, &mut juliet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_contents_of_movim() {
    let (server, mut juliet) = start(&["juliet", "romeo"]).await;
    let mut romeo = Participant::enter_as_movim(&server, "romeo").await;
    romeo.call_forging().await;
    romeo.is_refused(Action::SessionTerminate, "forged").await;
    romeo.call().await;
    juliet.call().await;
    let sid = romeo.take_forging(Action::ContentAdd, Action::ContentAccept).await;
    assert_eq!(sid, "up-romeo");
    romeo.is_refused(Action::ContentRemove, &sid).await;
    // The session itself goes on.
    juliet.receive("romeo").await;
    juliet.hears(RtpCodecKind::Audio, "romeo").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_either_session_of_a_pair() {
    let (server, mut juliet) = start(&["juliet", "romeo"]).await;
    let mut romeo = Participant::enter(&server, "romeo").await;
    romeo.at = ROOM.to_owned();
    sessions_are_refused(&mut romeo, &mut juliet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_trust_the_focus_ends_its_session() {
    let (_server, mut juliet) = start(&["juliet"]).await;
    let mut peer = Peer::new(juliet.hearing.clone()).await;
    let mut jingle = Jingle::new(Action::SessionInitiate, "up-juliet");
    jingle.contents = contents(&peer.offer("juliet").await);
    jingle.bundle = jingle.contents.iter().map(|content| content.name.clone()).collect();
    juliet.say(&jingle).await;
    let mut answer = juliet.jingle(Action::SessionAccept).await;
    forge(&mut answer);
    // Its implementation says so by an alert (RFC 8446, section 6).
    peer.accepted(sdp(&answer, "recvonly")).await;
    juliet.peers.push(peer);
    juliet.is_refused(Action::SessionTerminate, "up-juliet").await;
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
