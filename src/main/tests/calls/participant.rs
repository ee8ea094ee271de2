//! Somebody with a client of XMPP, in a room, who joins its call.

mod channels;
mod dialects;
mod floods;
mod layers;
mod network;
mod trouble;
mod upgrade;

use std::net::SocketAddr;
use std::time::Duration;

use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use tokio::sync::mpsc;
use tokio::time::timeout;
use wello_wire::ns;
use wello_wire::payload::jingle::{Action, Candidate, Condition, Content, Jingle, Senders};
use wello_wire::stanza::{IqType, Stanza};
use wello_wire::xml::Element;

use crate::client::{Client, attribute};
use crate::peer::{Heard, Payloads, Peer, picture_of};
use crate::sdp::{contents, sdp};
use crate::server::Server;
use crate::tone::hum;

pub const ROOM: &str = "hall@conference.localhost";
pub const FOCUS: &str = "hall@calls.localhost";
/// The session of a client that knows only calls between two.
const PLAIN: &str = "plain";
const PATIENCE: Duration = Duration::from_secs(60);

/// Which ways to the server it learns of.
pub enum Way {
    All,
    OnlyTcp,
    /// What is there passes datagrams on.
    Through(SocketAddr),
}

pub struct Participant {
    pub client: Client,
    name: String,
    room: String,
    /// The address that it calls.
    at: String,
    peers: Vec<Peer>,
    pub way: Way,
    /// What it wants besides, in its offer.
    wishes: Vec<Element>,
    heard: mpsc::Receiver<Heard>,
    hearing: mpsc::Sender<Heard>,
    /// What the focus has sent and nobody has looked at.
    waiting: Vec<Jingle>,
}

impl Participant {
    pub async fn enter(server: &Server, name: &str) -> Participant {
        Participant::enter_with(server, name, "").await
    }

    /// `extra`: what else is in its presence.
    async fn enter_with(server: &Server, name: &str, extra: &str) -> Participant {
        let mut participant = Participant::log_in(server, name).await;
        participant.enter_room(extra).await;
        participant
    }

    /// Enters the hall of a server with a client of whichever server.
    pub async fn enter_from(client: Client, name: &str, domain: &str) -> Participant {
        let (room, focus) = (format!("hall@conference.{domain}"), format!("hall@calls.{domain}"));
        let mut participant = Participant::with(client, name, &room, &focus);
        participant.enter_room("").await;
        participant
    }

    async fn enter_room(&mut self, extra: &str) {
        let Participant { room, name, .. } = self;
        let presence = format!(
            "<presence to='{room}/{name}'><x xmlns='http://jabber.org/protocol/muc'/>{extra}\
             </presence>"
        );
        self.client.send(&presence).await.unwrap();
        // The subject ends entering (XEP-0045, section 7.2.15).
        self.client.find("<message").await.unwrap();
    }

    /// Somebody who is in no room.
    async fn log_in(server: &Server, name: &str) -> Participant {
        let client = Client::login(server, name, "one").await.unwrap();
        Participant::with(client, name, ROOM, FOCUS)
    }

    fn with(client: Client, name: &str, room: &str, focus: &str) -> Participant {
        let (hearing, heard) = mpsc::channel(4096);
        let (name, room, at) = (name.to_owned(), room.to_owned(), focus.to_owned());
        let (peers, way, wishes, waiting) = (Vec::new(), Way::All, Vec::new(), Vec::new());
        Participant { client, name, room, at, peers, way, wishes, heard, hearing, waiting }
    }

    /// Opens a new room to others, as it is.
    pub async fn unlock(&mut self) {
        let submit = format!(
            "<iq type='set' id='unlock' to='{}'>\
             <query xmlns='http://jabber.org/protocol/muc#owner'>\
             <x xmlns='jabber:x:data' type='submit'/></query></iq>",
            self.room
        );
        self.client.send(&submit).await.unwrap();
        let answer = self.client.find("<iq").await.unwrap();
        assert_eq!(attribute(&answer, "type"), Some("result"), "{answer}");
    }

    /// Joins with microphone and camera.
    pub async fn call(&mut self) {
        let mut peer = Peer::new(self.hearing.clone()).await;
        let offer = peer.offer(&self.name).await;
        self.join(peer, &offer).await;
    }

    /// The same, humming a tone.
    pub async fn call_humming(&mut self, tone: f32) {
        let picture = picture_of(&self.name);
        self.call_with(hum(tone), picture).await;
    }

    pub async fn call_with(&mut self, sound: Payloads, picture: Payloads) {
        let mut peer = Peer::new(self.hearing.clone()).await;
        let offer = peer.offer_media(&self.name, sound, picture).await;
        self.join(peer, &offer).await;
    }

    async fn join(&mut self, mut peer: Peer, offer: &str) {
        let mut jingle = Jingle::new(Action::SessionInitiate, &format!("up-{}", self.name));
        jingle.contents = contents(offer);
        jingle.bundle = jingle.contents.iter().map(|content| content.name.clone()).collect();
        jingle.others.clone_from(&self.wishes);
        self.say(&jingle).await;
        let answer = self.jingle(Action::SessionAccept).await;
        assert!(answer.others.iter().any(|other| other.is("conference-info", ns::COIN)));
        peer.accepted(sdp(&answer, "recvonly")).await;
        peer.connected().await;
        self.peers.push(peer);
    }

    /// Calls the focus as if it were somebody, humming a tone.
    pub async fn call_plainly(&mut self, tone: f32) {
        let mut peer = Peer::new(self.hearing.clone()).await;
        let offer = peer.offer_media(&self.name, hum(tone), picture_of(&self.name)).await;
        let offered = contents(&offer);
        let bundle = offered.iter().map(|content| content.name.clone()).collect();
        self.join_plainly(peer, offered, bundle).await;
    }

    async fn join_plainly(&mut self, mut peer: Peer, offered: Vec<Content>, bundle: Vec<String>) {
        self.at = self.propose(PLAIN).await;
        let contents = offered.into_iter().map(both_ways).collect();
        let jingle = Jingle { contents, bundle, ..Jingle::new(Action::SessionInitiate, PLAIN) };
        self.say(&jingle).await;
        let answer = self.jingle(Action::SessionAccept).await;
        assert!(answer.contents.iter().all(|content| content.senders == Some(Senders::Both)));
        peer.accepted(sdp(&answer, "sendrecv")).await;
        peer.connected().await;
        self.peers.push(peer);
    }

    /// Says that a call is coming (XEP-0353); returns the device that takes it.
    async fn propose(&mut self, sid: &str) -> String {
        let propose = format!(
            "<message type='chat' to='{FOCUS}'><propose xmlns='{}' id='{sid}'>\
             <description xmlns='{}' media='audio'/></propose></message>",
            ns::JINGLE_MESSAGE,
            ns::JINGLE_RTP
        );
        self.client.send(&propose).await.unwrap();
        let proceed = self.client.find("<message").await.unwrap();
        assert!(proceed.contains("<proceed"), "{proceed}");
        attribute(&proceed, "from").unwrap().to_owned()
    }

    /// Puts somebody out of the room, which ends his call.
    pub async fn kicks(&mut self, other: &mut Participant, room: &str) {
        let kick = format!(
            "<iq type='set' id='kick' to='{room}'><query xmlns='http://jabber.org/protocol/muc#admin'>\
             <item nick='{}' role='none'/></query></iq>",
            other.name
        );
        self.client.send(&kick).await.unwrap();
        let ended = other.jingle(Action::SessionTerminate).await;
        assert_eq!(ended.reason.unwrap().condition, Condition::SecurityError);
    }

    /// Nobody comes into a call without being in its room.
    pub async fn is_kept_out(&mut self) {
        let refused = self.try_call("again").await;
        assert!(refused.contains("<forbidden"), "{refused}");
    }

    /// Offers a session once more; returns the answer.
    pub async fn try_call(&mut self, sid: &str) -> String {
        let mut peer = Peer::new(self.hearing.clone()).await;
        let mut jingle = Jingle::new(Action::SessionInitiate, sid);
        jingle.contents = contents(&peer.offer(&self.name).await);
        peer.stop();
        let iq = format!("<iq type='set' id='try' to='{}'>{}</iq>", self.at, jingle.to_element());
        self.client.send(&iq).await.unwrap();
        self.answer("try").await
    }

    /// Takes what the focus offers of another one; returns the offer.
    pub async fn receive(&mut self, from: &str) -> Jingle {
        let offer = self.jingle(Action::SessionInitiate).await;
        let occupant = format!("{}/{from}", self.room);
        let tag = offer.others.iter().find(|other| other.is("stream", ns::CALLS)).unwrap();
        assert_eq!(tag.attr("occupant"), Some(occupant.as_str()));
        let mut peer = Peer::new(self.hearing.clone()).await;
        let answer = peer.answer(sdp(&offer, "sendonly")).await;
        let mut jingle = Jingle::new(Action::SessionAccept, &offer.sid);
        jingle.contents = contents(&answer);
        self.say(&jingle).await;
        peer.connected().await;
        self.peers.push(peer);
        offer
    }

    /// Waits until something of somebody has come.
    pub async fn hears(&mut self, kind: RtpCodecKind, from: &str) {
        let mut seen = Vec::new();
        loop {
            let heard = timeout(PATIENCE, self.heard.recv()).await;
            let (what, payload) =
                heard.unwrap_or_else(|_| panic!("{} gets {seen:?}", self.name)).unwrap();
            if what == kind && payload.ends_with(from.as_bytes()) {
                return;
            }
            seen.push((what, payload.len()));
        }
    }

    /// What has come so far is not heard any more.
    fn forget_what_came(&mut self) {
        while self.heard.try_recv().is_ok() {}
    }

    /// What has come of a kind, until it is enough.
    pub async fn hears_until(&mut self, kind: RtpCodecKind, mut enough: impl FnMut(&[u8]) -> bool) {
        loop {
            let heard = timeout(PATIENCE, self.heard.recv()).await;
            let (what, payload) = heard.expect("it is heard in time").unwrap();
            if what == kind && enough(&payload) {
                return;
            }
        }
    }

    pub async fn say(&mut self, jingle: &Jingle) {
        let at = self.at.clone();
        self.say_to(&at, jingle).await;
    }

    async fn say_to(&mut self, focus: &str, jingle: &Jingle) {
        let iq = format!("<iq type='set' id='say' to='{focus}'>{}</iq>", jingle.to_element());
        self.client.send(&iq).await.unwrap();
    }

    /// The answer to a request.
    pub async fn answer(&mut self, id: &str) -> String {
        loop {
            let answer = self.client.find("<iq").await.unwrap();
            if attribute(&answer, "id") == Some(id) {
                return answer;
            }
        }
    }

    /// The first error.
    pub async fn refusal(&mut self) -> String {
        loop {
            let answer = self.client.find("<iq").await.unwrap();
            if attribute(&answer, "type") == Some("error") {
                return answer;
            }
        }
    }

    /// The next action of this kind; others wait.
    pub async fn jingle(&mut self, action: Action) -> Jingle {
        if let Some(place) = self.waiting.iter().position(|jingle| jingle.action == action) {
            return self.waiting.remove(place);
        }
        loop {
            let text = self.client.find("<iq").await.unwrap();
            // The namespace of the stream is not said again in its children.
            let text = text.replacen("<iq", "<iq xmlns='jabber:client'", 1);
            let stanza = Stanza::from_element(text.parse::<Element>().unwrap()).unwrap();
            assert_ne!(stanza.iq_type(), Some(IqType::Error), "{text}");
            if stanza.iq_type() == Some(IqType::Result) {
                continue;
            }
            let id = stanza.id.as_deref().unwrap_or_default();
            let result = format!("<iq type='result' id='{id}' to='{}'/>", self.at);
            self.client.send(&result).await.unwrap();
            let Some(jingle) = stanza.child("jingle", ns::JINGLE) else { continue };
            let mut jingle = Jingle::parse(jingle).unwrap();
            let transports = jingle.contents.iter_mut().flat_map(|all| &mut all.transport);
            transports.for_each(|all| self.way.narrow(&mut all.candidates));
            if jingle.action == action {
                return jingle;
            }
            self.waiting.push(jingle);
        }
    }
}

impl Way {
    fn narrow(&self, candidates: &mut Vec<Candidate>) {
        match *self {
            Way::All => {}
            Way::OnlyTcp => candidates.retain(|one| one.protocol == "tcp"),
            Way::Through(relay) => {
                candidates.retain(|one| one.protocol == "udp");
                for candidate in candidates {
                    candidate.address = Some(relay.ip());
                    candidate.port = relay.port();
                }
            }
        }
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        self.peers.iter().for_each(Peer::stop);
    }
}

fn both_ways(content: Content) -> Content {
    Content { senders: Some(Senders::Both), ..content }
}
