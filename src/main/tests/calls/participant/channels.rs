//! Data channels through a conference.

use std::sync::Arc;

use rtc::data_channel::RTCDataChannelInit;
use webrtc::data_channel::{DataChannel, DataChannelEvent};

use super::dialects::start;
use super::*;

/// What a message is: text or not, and its octets.
type Said = (bool, Vec<u8>);

impl Participant {
    /// Joins with microphone, camera and a channel of its own.
    async fn call_with_channel(&mut self) -> Arc<dyn DataChannel> {
        let mut peer = Peer::new(self.hearing.clone()).await;
        let channel = RTCDataChannelInit {
            ordered: false,
            max_retransmits: Some(5),
            protocol: "lines".to_owned(),
            ..Default::default()
        };
        let channel = peer.open_channel(&format!("of {}", self.name), channel).await;
        let offer = peer.offer(&self.name).await;
        self.join(peer, &offer).await;
        channel
    }

    /// The next channel that somebody else has opened.
    async fn channel(&mut self) -> Arc<dyn DataChannel> {
        self.peers[0].channel().await
    }
}

/// Once the channel is open.
async fn opened(channel: &Arc<dyn DataChannel>) {
    loop {
        match timeout(PATIENCE, channel.poll()).await.expect("it opens in time") {
            Some(DataChannelEvent::OnOpen) => return,
            Some(_) => {}
            None => panic!("it was closed"),
        }
    }
}

async fn heard(channel: &Arc<dyn DataChannel>) -> Said {
    loop {
        match timeout(PATIENCE, channel.poll()).await.expect("it is heard in time") {
            Some(DataChannelEvent::OnMessage(message)) => {
                return (message.is_string, message.data.to_vec());
            }
            Some(_) => {}
            None => panic!("it was closed"),
        }
    }
}

fn text(text: &str) -> Said {
    (true, text.as_bytes().to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_exchange_text_and_octets() {
    let (server, mut juliet) = start(&["juliet", "romeo"]).await;
    let own = juliet.call_with_channel().await;
    opened(&own).await;
    let mut romeo = Participant::enter_as_movim(&server, "romeo").await;
    let his = romeo.call_with_channel().await;
    let hers = romeo.channel().await;
    assert_eq!(hers.label().await.unwrap(), "of juliet");
    assert_eq!(hers.protocol().await.unwrap(), "lines");
    assert!(!hers.ordered().await.unwrap());
    own.send_text("Good night, good night!").await.unwrap();
    assert_eq!(heard(&hers).await, text("Good night, good night!"));
    let octets: Vec<u8> = (0..=255).cycle().take(30_000).collect();
    own.send(octets[..].into()).await.unwrap();
    assert_eq!(heard(&hers).await, (false, octets));
    hers.send_text("Sleep dwell upon thine eyes").await.unwrap();
    assert_eq!(heard(&own).await, text("Sleep dwell upon thine eyes"));
    let at_hers = juliet.channel().await;
    assert_eq!(at_hers.label().await.unwrap(), "of romeo");
    opened(&his).await;
    his.send_text("Peace in thy breast").await.unwrap();
    assert_eq!(heard(&at_hers).await, text("Peace in thy breast"));
    // Media passes beside it.
    romeo.take_contents().await;
    romeo.hears(RtpCodecKind::Audio, "juliet").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_writes_two_get_until_it_leaves() {
    let (server, mut juliet) = start(&["juliet", "romeo", "nurse"]).await;
    let own = juliet.call_with_channel().await;
    let mut romeo = Participant::enter(&server, "romeo").await;
    romeo.call_with_channel().await;
    let mut nurse = Participant::enter(&server, "nurse").await;
    nurse.call_with_channel().await;
    let mut copies = Vec::new();
    for listener in [&mut romeo, &mut nurse] {
        let copy = listener.channel().await;
        assert_eq!(copy.label().await.unwrap(), "of juliet");
        copies.push(copy);
    }
    opened(&own).await;
    own.send_text("Anon!").await.unwrap();
    for copy in &copies {
        assert_eq!(heard(copy).await, text("Anon!"));
    }
    juliet.say(&Jingle::new(Action::SessionTerminate, "up-juliet")).await;
    for copy in &copies {
        let ended =
            async { while !matches!(copy.poll().await, Some(DataChannelEvent::OnClose) | None) {} };
        timeout(PATIENCE, ended).await.expect("it ends with her");
    }
}
