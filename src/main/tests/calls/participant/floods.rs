//! More of everything than anybody needs, in each dialect.

use wello_wire::payload::jingle::{Content, Party, Transport};

use super::dialects::start;
use super::*;

/// Contents of one offer: as many as stanzas have room for.
const CONTENTS: usize = 1000;
/// Candidates in all, and of one stanza, as a client that trickles has them.
const CANDIDATES: usize = 10_000;
const AT_ONCE: usize = 50;

fn candidate(number: usize) -> Candidate {
    Candidate {
        id: format!("c{number}"),
        foundation: "1".to_owned(),
        generation: 0,
        address: Some("192.0.2.1".parse().unwrap()),
        port: 1024 + u16::try_from(number % 60_000).unwrap(),
        priority: 1,
        protocol: "udp".to_owned(),
        kind: "host".to_owned(),
        tcptype: None,
    }
}

impl Participant {
    /// Offers far too much; returns the error.
    async fn offer_too_much(&mut self) -> String {
        let mut peer = Peer::new(self.hearing.clone()).await;
        let one = contents(&peer.offer(&self.name).await).remove(0);
        peer.stop();
        let mut jingle = Jingle::new(Action::SessionInitiate, "much");
        let more = (0..CONTENTS).map(|number| Content {
            name: format!("n{number}"),
            description: None,
            transport: None,
            ..one.clone()
        });
        jingle.contents = std::iter::once(one.clone()).chain(more).collect();
        self.say(&jingle).await;
        self.refusal().await
    }

    /// Tells of far too many ways to itself.
    async fn flood_with_candidates(&mut self) {
        let sid = format!("up-{}", self.name);
        for first in (0..CANDIDATES).step_by(AT_ONCE) {
            let mut jingle = Jingle::new(Action::TransportInfo, &sid);
            jingle.contents.push(Content {
                creator: Party::Initiator,
                name: "0".to_owned(),
                senders: None,
                description: None,
                transport: Some(Transport {
                    ufrag: None,
                    password: None,
                    fingerprint: None,
                    candidates: (first..first + AT_ONCE).map(candidate).collect(),
                    sctp: None,
                }),
            });
            self.say(&jingle).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_contents_are_refused_in_each_dialect() {
    let (server, mut juliet) = start(&["juliet", "romeo", "nurse"]).await;
    let mut romeo = Participant::enter_as_movim(&server, "romeo").await;
    let mut nurse = Participant::enter(&server, "nurse").await;
    nurse.at = ROOM.to_owned();
    for participant in [&mut juliet, &mut romeo, &mut nurse] {
        let refused = participant.offer_too_much().await;
        assert!(refused.contains("<not-acceptable"), "{refused}");
        // With less it may join.
        participant.call().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn candidates_are_not_kept() {
    let (server, mut juliet) = start(&["juliet", "romeo"]).await;
    juliet.call().await;
    let mut romeo = Participant::enter(&server, "romeo").await;
    romeo.call().await;
    romeo.receive("juliet").await;
    juliet.flood_with_candidates().await;
    romeo.forget_what_came();
    romeo.hears_and_sees("juliet").await;
    // All of it was answered before this.
    juliet.say(&Jingle::new(Action::SessionTerminate, "up-juliet")).await;
    romeo.jingle(Action::SessionTerminate).await;
}
