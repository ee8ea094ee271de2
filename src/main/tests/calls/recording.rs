//! Calls that are recorded, as a player sees them. Skipped where there is no `ffprobe`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::Client;
use crate::participant::{FOCUS, Participant};
use crate::serve;
use crate::server::Server;
use crate::tone::hum;

/// A picture of VP8 that stands alone: one dot, after its payload descriptor.
const DOT: [u8; 23] = [
    0x10, 0x30, 0x01, 0x00, 0x9d, 0x01, 0x2a, 0x01, 0x00, 0x01, 0x00, 0x0e, 0xc0, 0xfe, 0x25, 0xa4,
    0x00, 0x03, 0x70, 0x00, 0x00, 0x00, 0x00,
];
/// Pictures of three seconds.
const PICTURES: usize = 150;

/// Juliet, who owns the room, and Romeo, in a call in which she hums.
async fn call(server: &Server) -> (Participant, Participant) {
    let mut juliet = Participant::enter(server, "juliet").await;
    juliet.unlock().await;
    juliet.call_with(hum(440.0), Box::new(|| DOT.to_vec())).await;
    let mut romeo = Participant::enter(server, "romeo").await;
    romeo.call().await;
    romeo.receive("juliet").await;
    (juliet, romeo)
}

/// Has the focus run a command.
async fn command(who: &mut Participant, name: &str) {
    let iq = format!(
        "<iq type='set' id='{name}' to='{FOCUS}'>\
         <command xmlns='http://jabber.org/protocol/commands' \
         node='urn:wello:calls:0#{name}' action='execute'/></iq>"
    );
    who.client.send(&iq).await.unwrap();
    let answer = who.answer(name).await;
    assert!(answer.contains("completed"), "{answer}");
}

async fn watch(who: &mut Participant) {
    let mut seen = 0;
    who.hears_until(RtpCodecKind::Video, |_| {
        seen += 1;
        seen == PICTURES
    })
    .await;
}

fn can_look() -> bool {
    Command::new("ffprobe").arg("-version").output().is_ok()
}

/// Waits until nothing of recordings lies about any more.
async fn picked_up(server: &Server) {
    let folder = server.data().join("recordings");
    let mut looks = tokio::time::interval(Duration::from_millis(200));
    let gone = async {
        while std::fs::read_dir(&folder).unwrap().next().is_some() {
            looks.tick().await;
        }
    };
    // It is looked for a minute after the start.
    timeout(Duration::from_secs(240), gone).await.expect("it is stored in time");
}

/// The manifest of a recording, by the message that tells where it is.
async fn manifest(server: &Server, client: &mut Client) -> Value {
    let posted = loop {
        let message = client.find("<message").await.unwrap();
        if message.contains("jabber:x:oob") {
            break message;
        }
    };
    let url = posted.split_once("<url>").unwrap().1.split_once("</url>").unwrap().0;
    serde_json::from_slice(&fetch(server, url).await).unwrap()
}

/// What a player finds in a file.
fn look(file: &Path) -> Value {
    let found = Command::new("ffprobe")
        .args(["-v", "error", "-of", "json", "-show_format", "-show_streams", "-count_packets"])
        .arg(file)
        .output()
        .unwrap();
    assert!(found.stderr.is_empty(), "{}", String::from_utf8_lossy(&found.stderr));
    serde_json::from_slice(&found.stdout).unwrap()
}

fn codecs(found: &Value) -> Vec<&str> {
    let streams = found["streams"].as_array().unwrap();
    streams.iter().map(|stream| stream["codec_name"].as_str().unwrap()).collect()
}

/// A file of the server, by its public address.
async fn fetch(server: &Server, url: &str) -> Vec<u8> {
    let path = url.find("/upload/").map(|place| &url[place..]).unwrap();
    let mut stream = TcpStream::connect(server.address("http")).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..end]));
    answer.split_off(end + 4)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_can_be_played() {
    if !can_look() {
        return;
    }
    let server = serve(&["juliet", "romeo"]).await;
    let (mut juliet, mut romeo) = call(&server).await;
    command(&mut juliet, "start-recording").await;
    let told = romeo.client.find("<message").await.unwrap();
    assert!(told.contains("<recording") && told.contains("being recorded"), "{told}");
    watch(&mut romeo).await;
    command(&mut juliet, "stop-recording").await;
    let manifest = manifest(&server, &mut romeo.client).await;
    assert_eq!(manifest["dropped"], 0);
    let files = manifest["files"].as_array().unwrap();
    let of = |nick: &str| {
        let occupant = format!("hall@conference.localhost/{nick}");
        files.iter().find(|file| file["occupant"] == occupant.as_str()).unwrap()
    };
    let hers = of("juliet");
    let content = fetch(&server, hers["url"].as_str().unwrap()).await;
    assert_eq!(content.len() as u64, hers["bytes"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hers.webm");
    std::fs::write(&path, content).unwrap();
    let found = look(&path);
    assert_eq!(codecs(&found), ["vp8", "opus"]);
    let duration: f64 = found["format"]["duration"].as_str().unwrap().parse().unwrap();
    assert!((2.5..30.0).contains(&duration), "{duration}");
    assert!((duration - hers["duration_ms"].as_f64().unwrap() / 1000.0).abs() < 0.1);
    assert_eq!(of("romeo")["codecs"], serde_json::json!(["vp8", "opus"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crash_leaves_is_played_and_stored_after_the_next_start() {
    if !can_look() {
        return;
    }
    let mut server = serve(&["juliet", "romeo"]).await;
    let (mut juliet, mut romeo) = call(&server).await;
    command(&mut juliet, "start-recording").await;
    watch(&mut romeo).await;
    server.kill().await;
    let recordings = std::fs::read_dir(server.data().join("recordings")).unwrap();
    let folder = recordings.map(|entry| entry.unwrap().path()).next().unwrap();
    let left = std::fs::read(folder.join("manifest.json")).unwrap();
    let left: Value = serde_json::from_slice(&left).unwrap();
    let files: Vec<PathBuf> = left["files"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|file| file["occupant"] == "hall@conference.localhost/juliet")
        .map(|file| folder.join(file["name"].as_str().unwrap()))
        .collect();
    let found = look(&files[0]);
    assert_eq!(codecs(&found), ["vp8", "opus"]);
    let packets: usize = found["streams"][0]["nb_read_packets"].as_str().unwrap().parse().unwrap();
    assert!(packets > PICTURES / 3, "{packets}");
    let hers = std::fs::read(&files[0]).unwrap();

    server.launch().await;
    picked_up(&server).await;
    // The room was gone with the server: whoever began it is told.
    let mut client = Client::login(&server, "juliet", "one").await.unwrap();
    client.send("<presence/>").await.unwrap();
    let stored = manifest(&server, &mut client).await;
    assert_eq!(stored["id"], left["id"]);
    let name = files[0].file_name().unwrap().to_str().unwrap();
    let part = stored["files"].as_array().unwrap().iter().find(|file| file["name"] == name);
    assert_eq!(fetch(&server, part.unwrap()["url"].as_str().unwrap()).await, hers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_written_in_a_pause() {
    let server = serve(&["juliet", "romeo"]).await;
    let (mut juliet, mut romeo) = call(&server).await;
    command(&mut juliet, "start-recording").await;
    watch(&mut romeo).await;
    command(&mut juliet, "pause-recording").await;
    watch(&mut romeo).await;
    command(&mut juliet, "resume-recording").await;
    watch(&mut romeo).await;
    command(&mut juliet, "stop-recording").await;
    let manifest = manifest(&server, &mut romeo.client).await;
    let [pause] = &manifest["pauses"].as_array().unwrap()[..] else { panic!("{manifest}") };
    let (from, to) = (pause["from_ms"].as_u64().unwrap(), pause["to_ms"].as_u64().unwrap());
    assert!(to > from + 2000, "{pause}");
    for file in manifest["files"].as_array().unwrap() {
        let begin = file["offset_ms"].as_u64().unwrap();
        let end = begin + file["duration_ms"].as_u64().unwrap();
        // What has waited for something missing is a little earlier or later.
        assert!(end < from + 1000 || begin + 1000 > to, "{file} {pause}");
    }
    assert_eq!(manifest["files"].as_array().unwrap().len(), 4, "{manifest}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_moderators_record() {
    let server = serve(&["juliet", "romeo"]).await;
    let (mut juliet, mut romeo) = call(&server).await;
    for name in ["start-recording", "stop-recording"] {
        let iq = format!(
            "<iq type='set' id='try' to='{FOCUS}'>\
             <command xmlns='http://jabber.org/protocol/commands' node='urn:wello:calls:0#{name}'/></iq>"
        );
        romeo.client.send(&iq).await.unwrap();
        let refused = romeo.refusal().await;
        assert!(refused.contains("<forbidden"), "{refused}");
        command(&mut juliet, name).await;
    }
}
