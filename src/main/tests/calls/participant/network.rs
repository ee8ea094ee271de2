//! What networks and those in them do to datagrams.

use std::collections::HashSet;

use super::dialects::start;
use super::*;
use crate::peer::{number_of, numbered};
use crate::relay::{Relay, Rule, Sender, Toward, is_handshake, lossy, pass};

/// Pictures that are looked at, of five seconds.
const PICTURES: usize = 250;

impl Participant {
    /// From now on the server is only reached through a relay.
    async fn behind(&mut self, server: &Server, rule: Rule) -> Relay {
        let relay = Relay::open(server.address("media"), rule).await;
        self.way = Way::Through(relay.address);
        relay
    }

    /// The numbers of so many pictures, each as often as it came.
    async fn numbers(&mut self, count: usize) -> Vec<u32> {
        let mut numbers = Vec::new();
        self.hears_until(RtpCodecKind::Video, |payload| {
            numbers.push(number_of(payload));
            numbers.len() == count
        })
        .await;
        numbers
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_gets_lost_is_sent_again_both_ways() {
    let (server, mut juliet) = start(&["juliet", "romeo"]).await;
    // One in twenty.
    let _hers = juliet.behind(&server, lossy(20)).await;
    juliet.call_with(hum(440.0), numbered()).await;
    let mut romeo = Participant::enter(&server, "romeo").await;
    let _his = romeo.behind(&server, lossy(20)).await;
    romeo.call().await;
    romeo.receive("juliet").await;
    let (mut missing, mut last) = (HashSet::new(), None);
    romeo
        .hears_until(RtpCodecKind::Video, |payload| {
            let number = number_of(payload);
            let first = *last.get_or_insert(number);
            if number > first {
                missing.extend(first + 1..number);
                last = Some(number);
            }
            missing.remove(&number);
            number > PICTURES as u32 && missing.is_empty()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_again_or_from_strangers_is_heard_once() {
    let (server, mut juliet) = start(&["juliet", "romeo"]).await;
    let again_and_from_elsewhere = |toward, datagram: &[u8]| {
        let mut arriving = pass(datagram);
        if toward == Toward::Server {
            arriving.extend(pass(datagram));
            arriving.push((Sender::Stranger, datagram.to_vec()));
        }
        arriving
    };
    let _relay = juliet.behind(&server, Box::new(again_and_from_elsewhere)).await;
    juliet.call_with(hum(440.0), numbered()).await;
    let mut romeo = Participant::enter(&server, "romeo").await;
    romeo.call().await;
    romeo.receive("juliet").await;
    let numbers = romeo.numbers(PICTURES).await;
    let different: HashSet<u32> = numbers.iter().copied().collect();
    assert_eq!(different.len(), numbers.len(), "{numbers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_before_the_handshake_harms_nobody() {
    let (server, mut juliet) = start(&["juliet", "romeo"]).await;
    // With each handshake message come packets that look like sound, one of them cut short.
    let early = |toward, datagram: &[u8]| {
        let mut arriving = Vec::new();
        if toward == Toward::Server && is_handshake(datagram) {
            let sound = [&[0x80, 111, 0, 1, 0, 0, 0, 1][..], &111_106_u32.to_be_bytes(), &[7; 40]];
            let sound = sound.concat();
            arriving.push((Sender::Usual, sound[..9].to_vec()));
            arriving.push((Sender::Usual, sound));
        }
        arriving.extend(pass(datagram));
        arriving
    };
    let _relay = juliet.behind(&server, Box::new(early)).await;
    juliet.call().await;
    let mut romeo = Participant::enter(&server, "romeo").await;
    romeo.call().await;
    romeo.receive("juliet").await;
    romeo.hears_and_sees("juliet").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_never_begins_is_not_waited_for_for_ever() {
    let (server, mut juliet) = start(&["juliet"]).await;
    let no_handshake = |_, datagram: &[u8]| match is_handshake(datagram) {
        true => Vec::new(),
        false => pass(datagram),
    };
    let _relay = juliet.behind(&server, Box::new(no_handshake)).await;
    let mut peer = Peer::new(juliet.hearing.clone()).await;
    let offer = peer.offer("juliet").await;
    let mut jingle = Jingle::new(Action::SessionInitiate, "up-juliet");
    jingle.contents = contents(&offer);
    juliet.say(&jingle).await;
    let answer = juliet.jingle(Action::SessionAccept).await;
    peer.accepted(sdp(&answer, "recvonly")).await;
    let ended = juliet.jingle(Action::SessionTerminate).await;
    assert_eq!(ended.reason.unwrap().condition, Condition::ConnectivityError);
    peer.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources_of_different_senders_may_be_the_same() {
    // Sources are made of the first letter of a name.
    let (server, mut juliet) = start(&["juliet", "john", "romeo"]).await;
    juliet.call().await;
    let mut john = Participant::enter(&server, "john").await;
    john.call().await;
    john.receive("juliet").await;
    juliet.receive("john").await;
    // All of them over one transport.
    let mut romeo = Participant::enter(&server, "romeo").await;
    romeo.at = ROOM.to_owned();
    romeo.call().await;
    let (session, peer) = romeo.take_all().await;
    assert_eq!(session.contents.len(), 4);
    john.hears_and_sees("juliet").await;
    juliet.hears_and_sees("john").await;
    romeo.hears_and_sees("juliet").await;
    romeo.hears_and_sees("john").await;
    peer.stop();
}
