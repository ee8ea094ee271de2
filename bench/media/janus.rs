//! The same loads on Janus: a video room, driven by its API over HTTP.
//!
//! Its ICE refuses loopback addresses, so it is reached at another address of this machine; what is
//! sent there does not leave it.

use std::{net::SocketAddr, rc::Rc};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};
use wello_sfu::Identity;
use wello_wire::payload::jingle::{
    Action, Candidate, Content, Description, Fingerprint, Jingle, Media, Party, Setup, Source,
    SourceGroup, Transport,
};

use super::{
    Calls, Shape,
    endpoint::{Endpoint, Traffic},
    participant::{address, side},
    signalling::{self, Role, SOURCE, Side},
};

const ROOM: u64 = 1;
const FEED: u64 = 1;

/// A sender and its receivers, all in one room.
pub(super) async fn join(server: SocketAddr, shape: Shape, rate: f64) -> Result<Calls> {
    ensure!(shape.conferences == 1 && shape.senders == 1 && !shape.layered, "one sender, one room");
    let identity = Identity::generate(Instant::now().into_std()).context("no certificate")?;
    let traffic = Rc::new(Traffic::new());
    traffic.rate.set(rate);
    let mut calls = Calls::new(shape, Rc::clone(&traffic));
    let api = Api::open(server).await?;
    let publisher = api.attach().await?;
    let made = json!({"request": "create", "room": ROOM, "publishers": 1, "videocodec": "vp8",
                      "bitrate": 0, "notify_joining": false});
    api.message(publisher, made, None).await?;
    let entry = json!({"request": "join", "ptype": "publisher", "room": ROOM, "id": FEED});
    api.answer(publisher, entry, None).await?;
    let ours = side(&identity);
    let offer = json!({"type": "offer", "sdp": sdp(&ours, "actpass", "sendonly")});
    let publish = json!({"request": "publish", "audio": false, "video": true});
    let answer = api.answer(publisher, publish, Some(offer)).await?;
    let theirs = read(answer["jsep"]["sdp"].as_str().context("no answer")?)?;
    let leg = signalling::sending_leg(Role::Sender, &theirs, &ours)?;
    spawn(&mut calls, &identity, &leg, &theirs, &traffic).await?;
    // Who comes before the sender is connected is told that there is nothing to be had.
    calls.connected(1).await?;
    for receiver in 1..shape.participants {
        let handle = api.attach().await?;
        let entry = json!({"request": "join", "ptype": "subscriber", "room": ROOM,
                           "streams": [{"feed": FEED}]});
        let offer = api.answer(handle, entry, None).await?;
        let theirs = read(offer["jsep"]["sdp"].as_str().context("no offer")?)?;
        let ours = side(&identity);
        let leg = signalling::receiving_leg(&theirs, &ours)?;
        spawn(&mut calls, &identity, &leg, &theirs, &traffic).await?;
        let answer = json!({"type": "answer", "sdp": sdp(&ours, "active", "recvonly")});
        api.answer(handle, json!({"request": "start", "room": ROOM}), Some(answer)).await?;
        calls.connected(receiver + 1).await?;
    }
    Ok(calls)
}

async fn spawn(
    calls: &mut Calls,
    identity: &Identity,
    leg: &wello_sfu::api::LegSpec,
    theirs: &Jingle,
    traffic: &Rc<Traffic>,
) -> Result<()> {
    let server = address(theirs).context("no candidate by UDP")?;
    let endpoint = Endpoint::new(identity, leg, server, Rc::clone(traffic), Instant::now()).await?;
    calls.participants.spawn_local(endpoint.run());
    Ok(())
}

/// A session with the server's API.
struct Api {
    server: SocketAddr,
    session: u64,
}

impl Api {
    async fn open(server: SocketAddr) -> Result<Self> {
        let mut api = Self { server, session: 0 };
        let made = api.post("/janus", &json!({"janus": "create"})).await?;
        api.session = made["data"]["id"].as_u64().context("no session")?;
        Ok(api)
    }

    /// A handle of the video room.
    async fn attach(&self) -> Result<u64> {
        let attach = json!({"janus": "attach", "plugin": "janus.plugin.videoroom"});
        let made = self.post(&format!("/janus/{}", self.session), &attach).await?;
        made["data"]["id"].as_u64().context("no handle")
    }

    async fn message(&self, handle: u64, body: Value, jsep: Option<Value>) -> Result<Value> {
        let mut message = json!({"janus": "message", "body": body});
        if let Some(jsep) = jsep {
            message["jsep"] = jsep;
        }
        self.post(&format!("/janus/{}/{handle}", self.session), &message).await
    }

    /// The event in which a request is answered.
    async fn answer(&self, handle: u64, body: Value, jsep: Option<Value>) -> Result<Value> {
        self.message(handle, body, jsep).await?;
        loop {
            let event =
                self.request("GET", &format!("/janus/{}?maxev=1", self.session), "").await?;
            let event = event.get(0).unwrap_or(&event);
            let data = &event["plugindata"]["data"];
            ensure!(data.get("error").is_none(), "Janus: {data}");
            if event["janus"] == "event" && event["sender"] == handle {
                return Ok(event.clone());
            }
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let mut body = body.clone();
        body["transaction"] = "bench".into();
        let answer = self.request("POST", path, &body.to_string()).await?;
        ensure!(answer["janus"] != "error", "Janus: {answer}");
        Ok(answer)
    }

    /// In HTTP/1.0, whose answers are in one piece.
    async fn request(&self, method: &str, path: &str, body: &str) -> Result<Value> {
        let mut stream = TcpStream::connect(self.server).await?;
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        Ok(serde_json::from_str(body)?)
    }
}

/// Our side: one camera, sent or received.
fn sdp(side: &Side, setup: &str, direction: &str) -> String {
    let (ufrag, password) = (&side.credentials.ufrag, &side.credentials.password);
    let bytes: Vec<String> = side.fingerprint.bytes.iter().map(|b| format!("{b:02X}")).collect();
    let (hash, bytes) = (&side.fingerprint.hash, bytes.join(":"));
    let source = match direction {
        "sendonly" => format!("a=ssrc:{SOURCE} cname:bench\r\n"),
        _ => String::new(),
    };
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
         m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na={direction}\r\n\
         a=rtcp-mux\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n\
         a=fingerprint:{hash} {bytes}\r\na=setup:{setup}\r\n\
         a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n\
         a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n{source}"
    )
}

/// Janus' side, as far as it concerns its only content.
fn read(sdp: &str) -> Result<Jingle> {
    let all =
        |name: &'static str| sdp.lines().filter_map(move |line| line.trim().strip_prefix(name));
    let one = |name: &'static str| all(name).next().with_context(|| format!("no {name}"));
    let (hash, bytes) = one("a=fingerprint:")?.split_once(' ').context("fingerprint")?;
    let bytes = bytes.split(':').map(|byte| u8::from_str_radix(byte, 16));
    let mut description = Description::new(Media::Video);
    for source in all("a=ssrc:") {
        let ssrc = source.split(' ').next().unwrap_or_default().parse()?;
        if !description.sources.iter().any(|known| known.ssrc == ssrc) {
            description.sources.push(Source { ssrc, parameters: Vec::new() });
        }
    }
    for group in all("a=ssrc-group:FID ") {
        let sources = group.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        description.groups.push(SourceGroup { semantics: "FID".to_owned(), sources });
    }
    let mut jingle = Jingle::new(Action::SessionInitiate, "janus");
    jingle.contents.push(Content {
        creator: Party::Initiator,
        name: one("a=mid:")?.to_owned(),
        senders: None,
        description: Some(description),
        transport: Some(Transport {
            ufrag: Some(one("a=ice-ufrag:")?.to_owned()),
            password: Some(one("a=ice-pwd:")?.to_owned()),
            fingerprint: Some(Fingerprint {
                hash: hash.to_ascii_lowercase(),
                bytes: bytes.collect::<Result<_, _>>()?,
                setup: Setup::from_name(one("a=setup:")?),
            }),
            candidates: all("a=candidate:").filter_map(candidate).collect(),
            sctp: None,
        }),
    });
    Ok(jingle)
}

/// RFC 8839, section 5.1.
fn candidate(line: &str) -> Option<Candidate> {
    let words: Vec<&str> = line.split(' ').collect();
    let [foundation, _, protocol, priority, ip, port, _, kind, ..] = words[..] else { return None };
    Some(Candidate {
        id: foundation.to_owned(),
        foundation: foundation.to_owned(),
        generation: 0,
        address: Some(ip.parse().ok()?),
        port: port.parse().ok()?,
        priority: priority.parse().ok()?,
        protocol: protocol.to_ascii_lowercase(),
        kind: kind.to_owned(),
        tcptype: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_an_offer() {
        let sdp = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:0\r\na=ice-ufrag:abcd\r\n\
                   a=ice-pwd:0123456789\r\na=fingerprint:sha-256 0A:FF\r\na=setup:actpass\r\n\
                   a=ssrc-group:FID 5 6\r\na=ssrc:5 cname:janus\r\na=ssrc:5 msid:a b\r\n\
                   a=ssrc:6 cname:janus\r\n\
                   a=candidate:1 1 udp 2015363327 192.0.2.2 40000 typ host\r\n";
        let content = &read(sdp).unwrap().contents[0];
        let transport = content.transport.as_ref().unwrap();
        assert_eq!(transport.fingerprint.as_ref().unwrap().bytes, [0x0a, 0xff]);
        assert_eq!((transport.candidates.len(), transport.candidates[0].port), (1, 40_000));
        let description = content.description.as_ref().unwrap();
        assert_eq!(description.groups[0].sources, [5, 6]);
        assert_eq!(description.sources.len(), 2);
        assert!(read("v=0").is_err());
    }
}
