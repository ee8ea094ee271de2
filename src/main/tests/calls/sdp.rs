//! Between Jingle and SDP (RFC 8829), as a client does it.

use std::fmt::Write as _;

use wello_wire::payload::jingle::{
    Content, Description, Extension, Feedback, Fingerprint, Jingle, Media, Party, PayloadType,
    SctpMap, Senders, Setup, Source, SourceGroup, Transport,
};

/// The contents of an offer or answer.
pub fn contents(sdp: &str) -> Vec<Content> {
    let mut sections = sdp.split("m=");
    let session = sections.next().unwrap();
    sections.map(|section| content(session, section)).collect()
}

fn content(session: &str, section: &str) -> Content {
    let lines = || section.lines().filter_map(|line| line.strip_prefix("a="));
    let value = |name: &str| lines().find_map(|line| line.strip_prefix(name));
    let anywhere = |name: &str| {
        let of = |text: &'_ str| {
            text.lines().find_map(|line| line.strip_prefix(&format!("a={name}")).map(str::to_owned))
        };
        of(section).or_else(|| of(session))
    };
    let media = Media::from_name(section.split(' ').next().unwrap()).unwrap();
    let sctp = value("sctp-port:").map(|port| SctpMap {
        port: port.parse().unwrap(),
        protocol: SctpMap::CHANNELS.to_owned(),
        streams: None,
    });
    let mut description = Description::new(media);
    for line in lines() {
        read(&mut description, line);
    }
    let (hash, bytes) = {
        let text = anywhere("fingerprint:").unwrap();
        let (hash, bytes) = text.split_once(' ').unwrap();
        let bytes = bytes.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        (hash.to_owned(), bytes)
    };
    let setup = Setup::from_name(&anywhere("setup:").unwrap());
    Content {
        creator: Party::Initiator,
        name: value("mid:").unwrap().to_owned(),
        senders: Some(Senders::Initiator),
        description: Some(description),
        transport: Some(Transport {
            ufrag: anywhere("ice-ufrag:"),
            password: anywhere("ice-pwd:"),
            fingerprint: Some(Fingerprint { hash, bytes, setup }),
            candidates: Vec::new(),
            sctp,
        }),
    }
}

fn read(description: &mut Description, line: &str) {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    let (head, rest) = value.split_once(' ').unwrap_or((value, ""));
    let payload = |description: &mut Description, id: &str| {
        let id: u8 = id.parse().unwrap();
        description.payloads.iter().position(|payload| payload.id == id)
    };
    match name {
        "rtpmap" => {
            let mut parts = rest.split('/');
            description.payloads.push(PayloadType {
                id: head.parse().unwrap(),
                name: parts.next().unwrap().to_owned(),
                clockrate: parts.next().map(|rate| rate.parse().unwrap()),
                channels: parts.next().map(|count| count.parse().unwrap()),
                ptime: None,
                maxptime: None,
                parameters: Vec::new(),
                feedback: Vec::new(),
            });
        }
        "fmtp" => {
            let place = payload(description, head).unwrap();
            let pairs = rest.split(';').filter_map(|pair| pair.trim().split_once('='));
            description.payloads[place].parameters =
                pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        }
        "rtcp-fb" => {
            let Some(place) = payload(description, head) else { return };
            let (kind, subtype) = rest.split_once(' ').map_or((rest, None), |(a, b)| (a, Some(b)));
            description.payloads[place]
                .feedback
                .push(Feedback { kind: kind.to_owned(), subtype: subtype.map(str::to_owned) });
        }
        "extmap" => {
            let id = head.split('/').next().unwrap().parse().unwrap();
            description.extensions.push(Extension { id, uri: rest.to_owned() });
        }
        "ssrc" => {
            let ssrc = head.parse().unwrap();
            if !description.sources.iter().any(|source| source.ssrc == ssrc) {
                description.sources.push(Source { ssrc, parameters: Vec::new() });
            }
        }
        // From the worst to the best, as this client writes them.
        "rid" => description.layers.push(head.to_owned()),
        "ssrc-group" => description.groups.push(SourceGroup {
            semantics: head.to_owned(),
            sources: rest.split(' ').map(|ssrc| ssrc.parse().unwrap()).collect(),
        }),
        _ => {}
    }
}

/// An offer (`actpass`) or answer of the focus. `direction` as the reader of the SDP sees its author.
pub fn sdp(jingle: &Jingle, direction: &str) -> String {
    let names: Vec<&str> = jingle.contents.iter().map(|content| content.name.as_str()).collect();
    let mut sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n",
        names.join(" ")
    );
    for content in &jingle.contents {
        write_content(&mut sdp, content, direction);
    }
    sdp
}

fn write_content(sdp: &mut String, content: &Content, direction: &str) {
    let description = content.description.as_ref().unwrap();
    let transport = content.transport.as_ref().unwrap();
    let mut line = |text: String| sdp.push_str(&(text + "\r\n"));
    let ids: Vec<String> =
        description.payloads.iter().map(|payload| payload.id.to_string()).collect();
    let media = description.media.unwrap().name();
    match &transport.sctp {
        Some(sctp) => line(format!(
            "m={media} 9 UDP/DTLS/SCTP {}\r\na=sctp-port:{}",
            sctp.protocol, sctp.port
        )),
        None => line(format!("m={media} 9 UDP/TLS/RTP/SAVPF {}", ids.join(" "))),
    }
    line("c=IN IP4 0.0.0.0".to_owned());
    line(format!("a=mid:{}", content.name));
    line(format!("a={direction}"));
    line("a=rtcp-mux".to_owned());
    line(format!("a=ice-ufrag:{}", transport.ufrag.as_ref().unwrap()));
    line(format!("a=ice-pwd:{}", transport.password.as_ref().unwrap()));
    let fingerprint = transport.fingerprint.as_ref().unwrap();
    let bytes: Vec<String> = fingerprint.bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    line(format!("a=fingerprint:{} {}", fingerprint.hash, bytes.join(":")));
    line(format!("a=setup:{}", fingerprint.setup.unwrap().name()));
    for payload in &description.payloads {
        let mut map = format!(
            "a=rtpmap:{} {}/{}",
            payload.id,
            payload.name,
            payload.clockrate.unwrap_or(90_000)
        );
        if let Some(channels) = payload.channels {
            let _ = write!(map, "/{channels}");
        }
        line(map);
        let pairs: Vec<String> =
            payload.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !pairs.is_empty() {
            line(format!("a=fmtp:{} {}", payload.id, pairs.join(";")));
        }
        for feedback in &payload.feedback {
            let subtype =
                feedback.subtype.as_ref().map_or(String::new(), |text| format!(" {text}"));
            line(format!("a=rtcp-fb:{} {}{subtype}", payload.id, feedback.kind));
        }
    }
    for extension in &description.extensions {
        line(format!("a=extmap:{} {}", extension.id, extension.uri));
    }
    for layer in &description.layers {
        line(format!("a=rid:{layer} recv"));
    }
    if !description.layers.is_empty() {
        line(format!("a=simulcast:recv {}", description.layers.join(";")));
    }
    for group in &description.groups {
        let sources: Vec<String> = group.sources.iter().map(u32::to_string).collect();
        line(format!("a=ssrc-group:{} {}", group.semantics, sources.join(" ")));
    }
    for source in &description.sources {
        for (name, value) in &source.parameters {
            line(format!("a=ssrc:{} {name}:{value}", source.ssrc));
        }
    }
    for candidate in &transport.candidates {
        let tcptype = candidate.tcptype.as_ref().map(|kind| format!(" tcptype {kind}"));
        line(format!(
            "a=candidate:{} 1 {} {} {} {} typ {}{}",
            candidate.foundation,
            candidate.protocol,
            candidate.priority,
            candidate.address.unwrap(),
            candidate.port,
            candidate.kind,
            tcptype.unwrap_or_default()
        ));
    }
}
