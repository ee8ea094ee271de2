//! Voice clips by both ways, with all modules and without sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;
use wello_kernel::Kernel;
use wello_kernel::config::Config;
use wello_kernel::files::{Files, Wish};
use wello_kernel::inbox::Delivery;
use wello_kernel::metrics::Metrics;
use wello_kernel::sessions::{ClientInfo, Session};
use wello_modules::ptt::{ClipError, send};
use wello_store::{Options, Role, Store, UploadPurpose};
use wello_stream::c2s::ResourceWish;
use wello_wire::jid::BareJid;
use wello_wire::ns;
use wello_wire::payload::clip::is_of_clip;
use wello_wire::stanza::{Kind, Stanza};

const OGG: &[u8] = include_bytes!("../ptt/fixtures/voice.ogg");
const AAC: &[u8] = include_bytes!("../ptt/fixtures/aac.m4a");

struct Server {
    kernel: Arc<Kernel>,
    _dir: TempDir,
}

impl Server {
    async fn with(more: &str) -> Server {
        let dir = TempDir::new().unwrap();
        let text = format!("hosts = ['wello.example']\ndata_dir = {:?}\n{more}", dir.path());
        let config = Config::parse(&text, []).unwrap();
        let store = Store::open("sqlite:test.db", dir.path(), &Options::default()).await.unwrap();
        let modules = wello_modules::all(&config);
        let kernel = Kernel::new(config, store, Arc::new(Metrics::default()), modules);
        let kernel = kernel.await.unwrap();
        for name in ["romeo", "juliet"] {
            kernel.accounts.create(&bare(name), "correct horse", Role::User).await.unwrap();
        }
        Server { kernel, _dir: dir }
    }

    async fn session(&self, name: &str) -> Arc<Session> {
        let info = ClientInfo::default();
        let session = self.kernel.bind(&bare(name), &ResourceWish::Any, info).await.unwrap();
        self.say(&session, "<presence xmlns='jabber:client'/>").await;
        messages(&session);
        session
    }

    async fn say(&self, session: &Arc<Session>, xml: &str) {
        let stanza = Stanza::from_element(xml.parse().unwrap()).unwrap();
        self.kernel.handle_client(session, stanza).await.unwrap();
    }

    /// As by a slot and PUT; returns the address.
    async fn upload(&self, account: &str, name: &str, media_type: &str, content: &[u8]) -> String {
        let wish = Wish {
            account: &bare(account),
            name,
            media_type: Some(media_type.to_owned()),
            size: content.len() as u64,
            purpose: UploadPurpose::Message,
            gone_by: None,
        };
        let content = Bytes::copy_from_slice(content);
        let upload = self.kernel.files.store(wish, content).await.unwrap();
        format!("https://wello.example:5443{}", Files::path(&upload))
    }
}

fn bare(name: &str) -> BareJid {
    format!("{name}@wello.example").parse().unwrap()
}

fn clip_message(url: &str, more: &str) -> String {
    format!(
        "<message xmlns='jabber:client' to='juliet@wello.example' type='chat' id='c1'>\
         <body>{url}</body><clip xmlns='urn:wello:ptt:0'/>{more}</message>"
    )
}

fn messages(session: &Session) -> Vec<Stanza> {
    let deliveries = std::iter::from_fn(|| session.inbox().take());
    let stanzas = deliveries.filter_map(|delivery| match delivery {
        Delivery::Stanza(stanza) if stanza.kind == Kind::Message => Some(stanza),
        _ => None,
    });
    stanzas.collect()
}

/// What a clip's message says, once it is seen to be complete: its address, and milliseconds.
fn clip(message: &Stanza) -> (String, u64) {
    let url = message.body().unwrap();
    let oob = message.child("x", ns::OOB).unwrap().child("url", ns::OOB).unwrap();
    assert_eq!(oob.text(), url);
    let sharing = message.child("file-sharing", ns::SFS).unwrap();
    let file = sharing.child("file", ns::FILE_METADATA).unwrap();
    let field = |name| file.child(name, ns::FILE_METADATA).unwrap().text().into_owned();
    assert_eq!(field("media-type"), "audio/mp4");
    assert!(url.ends_with(&field("name")) && url.ends_with(".m4a"), "{url}");
    assert!(file.child("hash", ns::HASHES).is_some());
    assert!(message.has_child("store", ns::HINTS) && message.has_child("fallback", ns::FALLBACK));
    let clip = message.child("clip", ns::PTT).unwrap();
    assert_eq!(clip.attr("duration").unwrap(), field("length"));
    assert_eq!(clip.attr("waveform").unwrap().len(), 88);
    assert_eq!(message.children().filter(|child| is_of_clip(child)).count(), 6);
    (url, clip.attr("duration").unwrap().parse().unwrap())
}

#[tokio::test]
async fn a_recording_is_sent_for_an_account() {
    let server = Server::with("").await;
    let juliet = server.session("juliet").await;
    let (romeo, to) = (bare("romeo"), bare("juliet"));
    let sent = send(&server.kernel, &romeo, &to, Bytes::from_static(OGG)).await.unwrap();
    let got = messages(&juliet);
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].id.as_deref(), Some(&*sent.id));
    assert_eq!(got[0].from.as_ref().unwrap().as_str(), "romeo@wello.example");
    let (url, duration) = clip(&got[0]);
    assert_eq!(url, sent.clip.url);
    assert!((1990..2100).contains(&duration), "{duration}");
    let path = url.strip_prefix("https://wello.example:5443").unwrap();
    let upload = server.kernel.files.find_by_path(path).await.unwrap().unwrap();
    assert_eq!(upload.account, "romeo@wello.example");
    let days = upload.expires.unwrap().since(upload.created).as_secs() / 86_400;
    assert!((29..=30).contains(&days), "{days}");

    let nobody = send(&server.kernel, &romeo, &bare("nobody"), Bytes::from_static(OGG)).await;
    assert!(matches!(nobody, Err(ClipError::NoRecipient)));
    let bad = send(&server.kernel, &romeo, &to, Bytes::from_static(b"not audio")).await;
    assert!(matches!(bad, Err(ClipError::Unfit(_))));
}

#[tokio::test]
async fn the_devices_of_the_sender_see_what_did_not_come_from_one_of_them() {
    let server = Server::with("").await;
    let romeo = server.session("romeo").await;
    romeo.set_carbons(true);
    let recording = Bytes::from_static(OGG);
    send(&server.kernel, &bare("romeo"), &bare("juliet"), recording).await.unwrap();
    let copies = messages(&romeo);
    assert_eq!(copies.len(), 1);
    assert!(copies[0].has_child("sent", ns::CARBONS));
}

#[tokio::test]
async fn a_file_that_an_app_uploaded_becomes_the_same_message() {
    let server = Server::with("").await;
    let (romeo, juliet) = (server.session("romeo").await, server.session("juliet").await);
    let url = server.upload("romeo", "voice.ogg", "audio/ogg", OGG).await;
    let more = "<thread>t1</thread><x xmlns='jabber:x:oob'><url>wrong</url></x>";
    server.say(&romeo, &clip_message(&url, "<thread>t1</thread>")).await;
    let got = messages(&juliet);
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].from.as_ref(), Some(&*romeo.jid));
    assert_eq!(got[0].id.as_deref(), Some("c1"));
    assert!(got[0].has_child("thread", ns::CLIENT));
    let (completed, _) = clip(&got[0]);
    assert!(completed.ends_with("/voice.m4a"), "{completed}");
    // The completed message, sent once more, is left as it is.
    let again = got[0].children().filter(|child| is_of_clip(child)).cloned();
    let again = Stanza::message(got[0].message_type()).with_to(bare("juliet")).with_children(again);
    server.kernel.handle_client(&romeo, again).await.unwrap();
    assert_eq!(clip(&messages(&juliet)[0]).0, completed);
    // So is one whose file is not told.
    server.say(&romeo, &clip_message("hello", more)).await;
    assert_eq!(messages(&juliet)[0].body().as_deref(), Some("hello"));
}

#[tokio::test]
async fn what_plays_everywhere_stays_as_it_is() {
    let server = Server::with("").await;
    let (romeo, juliet) = (server.session("romeo").await, server.session("juliet").await);
    let url = server.upload("romeo", "voice.m4a", "audio/mp4", AAC).await;
    server.say(&romeo, &clip_message(&url, "")).await;
    assert_eq!(clip(&messages(&juliet)[0]).0, url);
}

#[tokio::test]
async fn what_is_no_clip_is_refused_and_that_of_others_is_passed_on() {
    let server = Server::with("[ptt]\nclip_seconds = 1").await;
    let (romeo, juliet) = (server.session("romeo").await, server.session("juliet").await);
    let text = server.upload("romeo", "a.txt", "text/plain", b"hello").await;
    let long = server.upload("romeo", "voice.ogg", "audio/ogg", OGG).await;
    for url in [text, long.clone()] {
        server.say(&romeo, &clip_message(&url, "")).await;
        let refused = messages(&romeo);
        assert!(
            refused[0].is_error() && refused[0].to_element().to_string().contains("not-acceptable")
        );
    }
    assert!(messages(&juliet).is_empty());
    server.say(&juliet, &clip_message(&long, "").replace("juliet@", "romeo@")).await;
    assert_eq!(messages(&romeo)[0].body(), Some(long));
}

#[tokio::test]
async fn a_room_hears_a_clip_from_who_has_joined_it() {
    let server = Server::with("").await;
    let (romeo, juliet) = (server.session("romeo").await, server.session("juliet").await);
    let room: BareJid = "team@conference.wello.example".parse().unwrap();
    let outside = send(&server.kernel, &bare("romeo"), &room, Bytes::from_static(OGG)).await;
    assert!(matches!(outside, Err(ClipError::NotInRoom)));
    for (session, nick) in [(&romeo, "romeo"), (&juliet, "juliet")] {
        let join = format!(
            "<presence xmlns='jabber:client' to='{room}/{nick}'>\
             <x xmlns='http://jabber.org/protocol/muc'/></presence>"
        );
        server.say(session, &join).await;
        if nick == "romeo" {
            // Section 10.1.2 of XEP-0045: as it is by default.
            let accept = format!(
                "<iq xmlns='jabber:client' to='{room}' type='set' id='o1'>\
                 <query xmlns='http://jabber.org/protocol/muc#owner'>\
                 <x xmlns='jabber:x:data' type='submit'/></query></iq>"
            );
            server.say(session, &accept).await;
        }
        messages(session);
    }
    messages(&romeo);
    send(&server.kernel, &bare("romeo"), &room, Bytes::from_static(OGG)).await.unwrap();
    for session in [&romeo, &juliet] {
        let got = messages(session);
        assert_eq!(got.len(), 1);
        assert_eq!(got[0].from.as_ref().unwrap().as_str(), format!("{room}/romeo"));
        clip(&got[0]);
        let channel = got[0].child("clip", ns::PTT).unwrap().attr("channel").unwrap().to_owned();
        assert_eq!(channel, room.as_str());
    }
}
