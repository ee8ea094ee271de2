//! A camera in layers (simulcast), and a receiver who says which one it wants.

use super::dialects::start;
use super::*;

/// Pictures that show that no other layer comes any more.
const ENOUGH: usize = 50;

impl Participant {
    /// Joins with a camera in layers; the pictures of each end with its name.
    async fn call_in_layers(&mut self, layers: &[&str]) {
        let mut peer = Peer::new(self.hearing.clone()).await;
        let offer = peer.offer_layers(&self.name, layers).await;
        self.join(peer, &offer).await;
    }

    /// Wants this layer of a content at the most.
    async fn limit(&mut self, session: &Jingle, layer: Option<&str>) {
        let content = session.contents[0].name.as_str();
        let mut info = Jingle::new(Action::SessionInfo, &session.sid);
        let wish = Element::new("layer", ns::CALLS).with_attr("name", content);
        info.others.push(wish.with_attr_opt("rid", layer));
        self.say(&info).await;
    }

    async fn sees_only(&mut self, layer: &str) {
        self.hears(RtpCodecKind::Video, layer).await;
        let mut count = 0;
        self.hears_until(RtpCodecKind::Video, |picture| {
            assert!(picture.ends_with(layer.as_bytes()), "another layer than {layer}");
            count += 1;
            count == ENOUGH
        })
        .await;
    }

    /// Asks for the one and the other.
    async fn chooses(&mut self, session: &Jingle) {
        self.sees_only("high").await;
        self.limit(session, Some("low")).await;
        self.sees_only("low").await;
        self.limit(session, None).await;
        self.sees_only("high").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_gets_the_layer_that_it_asks_for() {
    let (server, mut juliet) = start(&["juliet", "romeo"]).await;
    juliet.call_in_layers(&["low", "high"]).await;
    let mut romeo = Participant::enter(&server, "romeo").await;
    romeo.call().await;
    let session = romeo.receive("juliet").await;
    romeo.chooses(&session).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn movim_gets_the_layer_that_it_asks_for() {
    let (server, mut juliet) = start(&["juliet", "romeo"]).await;
    juliet.call_in_layers(&["low", "high"]).await;
    let mut romeo = Participant::enter_as_movim(&server, "romeo").await;
    romeo.call().await;
    let session = romeo.take_contents().await;
    romeo.chooses(&session).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gets_all_over_one_transport_gets_the_layer_that_it_asks_for() {
    let (server, mut juliet) = start(&["juliet", "romeo"]).await;
    juliet.call_in_layers(&["low", "high"]).await;
    let mut romeo = Participant::enter(&server, "romeo").await;
    romeo.at = ROOM.to_owned();
    romeo.call().await;
    let (session, peer) = romeo.take_all().await;
    romeo.chooses(&session).await;
    peer.stop();
}
