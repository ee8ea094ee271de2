//! Clients that know only calls between two, and begin with voice alone.

use wello_wire::payload::jingle::Transport;

use super::dialects::start;
use super::*;

const TONE: f32 = 500.0;

impl Participant {
    /// Adds what is offered to its session; returns what is taken of it.
    async fn add(&mut self, content: Content) -> Content {
        let contents = vec![both_ways(content)];
        let jingle = Jingle { contents, ..Jingle::new(Action::ContentAdd, PLAIN) };
        self.say(&jingle).await;
        let answer = self.jingle(Action::ContentAccept).await;
        answer.contents.into_iter().next().unwrap()
    }
}

/// Somebody who is seen, and somebody who gets everything.
async fn company() -> (Server, Participant, Participant) {
    let (server, mut juliet) = start(&["juliet", "nurse", "romeo"]).await;
    juliet.call().await;
    let mut nurse = Participant::enter_as_movim(&server, "nurse").await;
    nurse.call().await;
    nurse.take_contents().await;
    (server, juliet, nurse)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_comes_to_the_transport_of_the_voice() {
    let (server, _juliet, mut nurse) = company().await;
    let mut romeo = Participant::enter(&server, "romeo").await;
    romeo.at = romeo.propose(PLAIN).await;
    let mut peer = Peer::new(romeo.hearing.clone()).await;
    let mut voice = Jingle::new(Action::SessionInitiate, PLAIN);
    voice.contents = contents(&peer.offer_sound("romeo", hum(TONE)).await);
    voice.contents = voice.contents.into_iter().map(both_ways).collect();
    voice.bundle = vec![voice.contents[0].name.clone()];
    romeo.say(&voice).await;
    let mut answer = romeo.jingle(Action::SessionAccept).await;
    peer.accepted(sdp(&answer, "sendrecv")).await;
    peer.connected().await;
    nurse.take_contents().await;

    let offer = contents(&peer.offer_camera("romeo").await);
    let camera = offer.into_iter().nth(1).unwrap();
    let taken = romeo.add(Content { transport: Some(Transport::default()), ..camera }).await;
    assert_eq!(taken.transport, Some(Transport::default()));
    let transport = answer.contents[0].transport.clone();
    answer.contents.push(Content { transport, ..taken });
    peer.accepted(sdp(&answer, "sendrecv")).await;
    nurse.take_contents().await;
    nurse.hears(RtpCodecKind::Video, "romeo").await;
    romeo.hears(RtpCodecKind::Video, "juliet").await;
    peer.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_comes_on_a_transport_of_its_own() {
    let (server, _juliet, mut nurse) = company().await;
    let mut romeo = Participant::enter(&server, "romeo").await;
    let mut peer = Peer::new(romeo.hearing.clone()).await;
    let voice = contents(&peer.offer_sound("romeo", hum(TONE)).await);
    romeo.join_plainly(peer, voice, Vec::new()).await;
    nurse.take_contents().await;

    let mut camera = Peer::new(romeo.hearing.clone()).await;
    let mut offer = contents(&camera.offer_camera("romeo").await);
    // The other connection has used its name.
    let own = std::mem::replace(&mut offer[0].name, "camera".to_owned());
    let taken = romeo.add(offer.remove(0)).await;
    let mut answer = Jingle::new(Action::SessionAccept, PLAIN);
    answer.contents = vec![Content { name: own, ..taken }];
    camera.accepted(sdp(&answer, "sendrecv")).await;
    camera.connected().await;
    nurse.take_contents().await;
    nurse.hears(RtpCodecKind::Video, "romeo").await;
    romeo.hears(RtpCodecKind::Video, "juliet").await;
    camera.stop();
}
