//! Clients that speak with the focus as Movim does, or as those of `tigase:meet:0` do.

use super::*;

const MOVIM: &str = "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' \
    node='https://movim.eu/' ver='x'/>";

impl Participant {
    pub(super) async fn enter_as_movim(server: &Server, name: &str) -> Participant {
        Participant::enter_with(server, name, MOVIM).await
    }

    /// Takes contents that are offered within its own session, on a transport of their own.
    pub(super) async fn take_contents(&mut self) -> Jingle {
        let offer = self.jingle(Action::ContentAdd).await;
        let tag = offer.others.iter().find(|other| other.ns() == ns::JINGLE_PARTICIPANT);
        let mut peer = Peer::new(self.hearing.clone()).await;
        let answer = peer.answer(sdp(&offer, "sendonly")).await;
        let mut jingle = Jingle::new(Action::ContentAccept, &offer.sid);
        jingle.contents = contents(&answer);
        jingle.others.push(tag.unwrap().clone());
        self.say(&jingle).await;
        peer.connected().await;
        self.peers.push(peer);
        offer
    }

    /// Takes the one session by which everything comes.
    pub(super) async fn take_all(&mut self) -> (Jingle, Peer) {
        let offer = self.jingle(Action::SessionInitiate).await;
        let mut peer = Peer::new(self.hearing.clone()).await;
        let answer = peer.answer(sdp(&offer, "sendonly")).await;
        let mut jingle = Jingle::new(Action::SessionAccept, &offer.sid);
        jingle.contents = contents(&answer);
        self.say(&jingle).await;
        peer.connected().await;
        (offer, peer)
    }

    /// Takes what comes to the contents of a session over the same transport.
    async fn take_more(&mut self, session: &mut Jingle, peer: &mut Peer) {
        let added = self.jingle(Action::ContentAdd).await;
        assert_eq!(added.sid, session.sid);
        let transport = session.contents[0].transport.clone();
        let added_to = |content: &Content| Content {
            transport: content.transport.clone().or_else(|| transport.clone()),
            ..content.clone()
        };
        let more: Vec<Content> = added.contents.iter().map(added_to).collect();
        session.contents.extend(more);
        let answer = peer.answer(sdp(session, "sendonly")).await;
        let mut jingle = Jingle::new(Action::ContentAccept, &session.sid);
        jingle.contents = contents(&answer);
        let is_new = |name: &str| added.contents.iter().any(|content| content.name == name);
        jingle.contents.retain(|content| is_new(&content.name));
        self.say(&jingle).await;
    }

    pub(super) async fn hears_and_sees(&mut self, from: &str) {
        self.hears(RtpCodecKind::Audio, from).await;
        self.hears(RtpCodecKind::Video, from).await;
    }

    async fn leave(&mut self) {
        let sid = format!("up-{}", self.name);
        self.say(&Jingle::new(Action::SessionTerminate, &sid)).await;
    }
}

pub async fn start(accounts: &[&str]) -> (Server, Participant) {
    let server = crate::serve(accounts).await;
    let mut juliet = Participant::enter(&server, "juliet").await;
    juliet.unlock().await;
    (server, juliet)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn movim_and_others_hear_and_see_each_other() {
    let (server, mut juliet) = start(&["juliet", "romeo"]).await;
    juliet.call().await;
    let mut romeo = Participant::enter_as_movim(&server, "romeo").await;
    romeo.at = romeo.propose("up-romeo").await;
    romeo.call().await;
    let offer = romeo.take_contents().await;
    assert_eq!(offer.sid, "up-romeo");
    juliet.receive("romeo").await;
    romeo.hears_and_sees("juliet").await;
    juliet.hears_and_sees("romeo").await;
    juliet.leave().await;
    let removed = romeo.jingle(Action::ContentRemove).await;
    let names = |jingle: &Jingle| -> Vec<String> {
        jingle.contents.iter().map(|content| content.name.clone()).collect()
    };
    assert_eq!((removed.sid.as_str(), names(&removed)), ("up-romeo", names(&offer)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_is_called_itself_sends_all_over_one_transport() {
    let (server, mut juliet) = start(&["juliet", "romeo", "nurse"]).await;
    juliet.call().await;
    let mut romeo = Participant::enter(&server, "romeo").await;
    romeo.at = ROOM.to_owned();
    romeo.call().await;
    let (mut session, mut peer) = romeo.take_all().await;
    romeo.hears_and_sees("juliet").await;
    juliet.receive("romeo").await;
    juliet.hears_and_sees("romeo").await;
    let mut nurse = Participant::enter(&server, "nurse").await;
    nurse.call().await;
    romeo.take_more(&mut session, &mut peer).await;
    romeo.hears_and_sees("nurse").await;
    juliet.leave().await;
    let removed = romeo.jingle(Action::ContentRemove).await;
    assert_eq!(removed.contents.len(), 2);
    romeo.hears_and_sees("nurse").await;
    peer.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_it_gets_all_over_one_transport() {
    let (server, mut juliet) = start(&["juliet", "romeo", "nurse"]).await;
    juliet.call().await;
    let mut romeo = Participant::enter(&server, "romeo").await;
    romeo.wishes.push(Element::new("gather", ns::CALLS));
    romeo.call().await;
    let (mut session, mut peer) = romeo.take_all().await;
    romeo.hears_and_sees("juliet").await;
    let mut nurse = Participant::enter(&server, "nurse").await;
    nurse.call().await;
    romeo.take_more(&mut session, &mut peer).await;
    romeo.hears_and_sees("nurse").await;
    juliet.leave().await;
    let removed = romeo.jingle(Action::ContentRemove).await;
    assert_eq!((removed.sid, removed.contents.len()), (session.sid.clone(), 2));
    romeo.forget_what_came();
    romeo.hears_and_sees("nurse").await;
    nurse.leave().await;
    let ended = romeo.jingle(Action::SessionTerminate).await;
    assert_eq!(ended.sid, session.sid);
    peer.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_made_without_a_room() {
    let server = crate::serve(&["juliet", "romeo", "paris"]).await;
    let mut juliet = Participant::log_in(&server, "juliet").await;
    let create = "<iq type='set' id='create' to='calls.localhost'><create xmlns='tigase:meet:0'>\
        <media type='audio'/><media type='video'/><participant>romeo@localhost</participant>\
        </create></iq>";
    juliet.client.send(create).await.unwrap();
    let created = juliet.client.find("<iq").await.unwrap();
    let id = created.split("<create").nth(1).and_then(|create| attribute(create, "id")).unwrap();
    let call = format!("{id}@calls.localhost");
    let mut romeo = Participant::log_in(&server, "romeo").await;
    for participant in [&mut juliet, &mut romeo] {
        participant.at.clone_from(&call);
        participant.call().await;
    }
    let (_, peer) = juliet.take_all().await;
    juliet.hears_and_sees("romeo").await;
    let (_, other) = romeo.take_all().await;
    romeo.hears_and_sees("juliet").await;
    // Not for everybody, and not for longer than its owner wants.
    let mut paris = Participant::log_in(&server, "paris").await;
    paris.at.clone_from(&call);
    paris.say(&Jingle::new(Action::SessionInitiate, "up-paris")).await;
    let refused = paris.refusal().await;
    assert!(refused.contains("<forbidden"), "{refused}");
    let deny = format!(
        "<iq type='set' id='deny' to='{call}'><deny xmlns='tigase:meet:0'>\
         <participant>romeo@localhost</participant></deny></iq>"
    );
    juliet.client.send(&deny).await.unwrap();
    let ended = romeo.jingle(Action::SessionTerminate).await;
    assert_eq!(ended.reason.unwrap().condition, Condition::SecurityError);
    [peer, other].iter().for_each(Peer::stop);
}
