//! What a participant and the focus tell each other (docs/protocols/calls.md), as far as a load needs it.

use anyhow::{Context, Result};
use wello_sfu::api::{
    Codec, ConferenceId, Credentials, Data, Fingerprint, LegId, LegSpec, Media, Mid, OutputSpec,
    Payload, Rid, TrackId, TrackSpec,
};
use wello_sfu::peer::webrtc::{MID, RID};
use wello_wire::{
    ns,
    payload::jingle::{
        Action, Content, Description, Extension, Fingerprint as WireFingerprint, Jingle,
        Media as WireMedia, Party, PayloadType, Senders, Setup, Source, Transport,
    },
    stanza::Stanza,
    xml::Element,
};

/// The only content of a session.
const NAME: &str = "0";
const VIDEO: Payload = Payload { pt: 96, rtx: Some(97), codec: Codec::Vp8 };
const SOUND: Payload = Payload { pt: 111, rtx: None, codec: Codec::Opus };
/// From the worst to the best.
pub(super) const LAYERS: [&str; 2] = ["l", "h"];
/// Of what a participant sends; with layers, of the first of them.
pub(super) const SOURCE: u32 = 1000;

/// What a participant brings into a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Sound that is never sent: who has no microphone joins like this.
    Listener,
    Sender,
    LayeredSender,
}

/// Our side of a transport.
pub(super) struct Side {
    pub(super) credentials: Credentials,
    pub(super) fingerprint: Fingerprint,
}

/// The offer by which a participant joins.
pub(super) fn offer(role: Role, sid: &str, side: &Side) -> Jingle {
    let description = match role {
        Role::Listener => Description {
            payloads: vec![payload_type(111, "opus", 48_000, &[])],
            ..Description::new(WireMedia::Audio)
        },
        Role::Sender | Role::LayeredSender => Description {
            payloads: vec![
                payload_type(96, "VP8", 90_000, &[]),
                payload_type(97, "rtx", 90_000, &[("apt", "96")]),
            ],
            extensions: extensions(role)
                .into_iter()
                .map(|(id, uri)| Extension { id: id.into(), uri })
                .collect(),
            sources: match role {
                Role::LayeredSender => Vec::new(),
                _ => vec![Source { ssrc: SOURCE, parameters: Vec::new() }],
            },
            layers: match role {
                Role::LayeredSender => LAYERS.map(str::to_owned).to_vec(),
                _ => Vec::new(),
            },
            ..Description::new(WireMedia::Video)
        },
    };
    let mut jingle = Jingle::new(Action::SessionInitiate, sid);
    jingle.contents.push(Content {
        creator: Party::Initiator,
        name: NAME.to_owned(),
        senders: Some(if role == Role::Listener { Senders::None } else { Senders::Initiator }),
        description: Some(description),
        transport: Some(transport(side, Setup::ActPass)),
    });
    jingle.bundle.push(NAME.to_owned());
    jingle
}

/// Takes an offer of the focus as it is: a session, or what comes to one.
pub(super) fn accept(offer: &Jingle, side: &Side) -> Jingle {
    let action = match offer.action {
        Action::ContentAdd => Action::ContentAccept,
        _ => Action::SessionAccept,
    };
    let mut jingle = Jingle::new(action, &offer.sid);
    let accepted = offer.contents.iter().map(|content| Content {
        transport: Some(transport(side, Setup::Active)),
        ..content.clone()
    });
    jingle.contents = accepted.collect();
    jingle.bundle.clone_from(&offer.bundle);
    jingle
}

/// The other end of the leg by which a participant sends, once the focus has accepted.
pub(super) fn sending_leg(role: Role, answer: &Jingle, side: &Side) -> Result<LegSpec> {
    let output = OutputSpec {
        track: TrackId(0),
        mid: mid(NAME)?,
        media: Media::Video,
        source: SOURCE,
        rtx: None,
        payloads: Vec::new(),
    };
    let outputs = match role {
        Role::Sender => vec![output],
        // The layers of the other are added by their names.
        Role::Listener | Role::LayeredSender => Vec::new(),
    };
    Ok(LegSpec { controlling: true, extensions: extensions(role), outputs, ..leg(answer, side)? })
}

/// The other end of a leg that the focus has offered.
pub(super) fn receiving_leg(offer: &Jingle, side: &Side) -> Result<LegSpec> {
    let mut leg = leg(offer, side)?;
    leg.tracks = tracks(offer, 0)?;
    let descriptions = offer.contents.iter().filter_map(|content| content.description.as_ref());
    for Extension { id, uri } in descriptions.flat_map(|description| &description.extensions) {
        // In a bundle they are the same everywhere.
        let id = u8::try_from(*id)?;
        if leg.extensions.iter().all(|(known, _)| *known != id) {
            leg.extensions.push((id, uri.clone()));
        }
    }
    Ok(leg)
}

/// What the focus has offered, where there are so many tracks on the leg already.
pub(super) fn tracks(offer: &Jingle, known: u64) -> Result<Vec<TrackSpec>> {
    let described =
        offer.contents.iter().filter_map(|content| Some((content, content.description.as_ref()?)));
    let track = |(number, (content, description)): (u64, (&Content, &Description))| {
        let group = description.groups.first().map(|group| group.sources.clone());
        let source = description.sources.first().context("no source in an offer")?.ssrc;
        Ok(TrackSpec {
            track: TrackId(number),
            mid: mid(&content.name)?,
            media: Media::Video,
            sources: vec![(source, group.and_then(|group| group.get(1).copied()))],
            layers: Vec::new(),
            forwarded: true,
        })
    };
    (known..).zip(described).map(track).collect()
}

/// The layers of a sender by their names, each with its source.
pub(super) fn layers() -> impl Iterator<Item = (Rid, u32)> {
    LAYERS.into_iter().filter_map(Rid::new).zip(SOURCE..)
}

pub(super) fn mid(name: &str) -> Result<Mid> {
    Mid::new(name).context("a content name that cannot be")
}

fn leg(theirs: &Jingle, side: &Side) -> Result<LegSpec> {
    let transport = theirs.contents.first().and_then(|content| content.transport.as_ref());
    let transport = transport.context("no transport")?;
    let (Some(ufrag), Some(password), Some(fingerprint)) =
        (&transport.ufrag, &transport.password, &transport.fingerprint)
    else {
        anyhow::bail!("a transport without credentials or fingerprint");
    };
    Ok(LegSpec {
        leg: LegId(0),
        conference: ConferenceId(0),
        local: side.credentials.clone(),
        remote: Credentials { ufrag: ufrag.clone(), password: password.clone() },
        fingerprint: Fingerprint {
            hash: fingerprint.hash.clone(),
            bytes: fingerprint.bytes.clone(),
        },
        // Who offers everything may be answered by one who begins (RFC 5763, section 5).
        dtls_client: fingerprint.setup != Some(Setup::Active),
        controlling: false,
        payloads: vec![VIDEO, SOUND],
        extensions: Vec::new(),
        tracks: Vec::new(),
        outputs: Vec::new(),
        data: Data::Off,
    })
}

fn extensions(role: Role) -> Vec<(u8, String)> {
    match role {
        Role::Listener => Vec::new(),
        Role::Sender => vec![(4, MID.to_owned())],
        Role::LayeredSender => vec![(4, MID.to_owned()), (5, RID.to_owned())],
    }
}

fn payload_type(id: u8, name: &str, clockrate: u32, parameters: &[(&str, &str)]) -> PayloadType {
    PayloadType {
        id,
        name: name.to_owned(),
        clockrate: Some(clockrate),
        channels: (name == "opus").then_some(2),
        ptime: None,
        maxptime: None,
        parameters: parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        feedback: Vec::new(),
    }
}

fn transport(side: &Side, setup: Setup) -> Transport {
    Transport {
        ufrag: Some(side.credentials.ufrag.clone()),
        password: Some(side.credentials.password.clone()),
        fingerprint: Some(WireFingerprint {
            hash: side.fingerprint.hash.clone(),
            bytes: side.fingerprint.bytes.clone(),
            setup: Some(setup),
        }),
        candidates: Vec::new(),
        sctp: None,
    }
}

/// The Jingle of an IQ, if there is any.
pub(super) fn jingle(iq: &[u8]) -> Result<Option<Jingle>> {
    // The namespace of the stream is not said again in its children.
    let text = std::str::from_utf8(iq)?.replacen("<iq", "<iq xmlns='jabber:client'", 1);
    let stanza = Stanza::from_element(text.parse::<Element>()?)
        .map_err(|_| anyhow::anyhow!("no stanza: {text}"))?;
    let payload = stanza.child("jingle", ns::JINGLE);
    Ok(payload.map(Jingle::parse).transpose()?)
}

#[cfg(test)]
mod tests {
    use wello_wire::payload::jingle::SourceGroup;

    use super::*;

    fn side() -> Side {
        let credentials = Credentials { ufrag: "bench".into(), password: "password".into() };
        let fingerprint = Fingerprint { hash: "sha-256".into(), bytes: vec![0; 32] };
        Side { credentials, fingerprint }
    }

    /// As the focus offers streams in a bundle, each of them with its retransmissions.
    fn offer(action: Action, streams: &[(&str, u32)]) -> Jingle {
        let mut jingle = Jingle::new(action, "down");
        jingle.contents = streams.iter().map(|(name, source)| stream(name, *source)).collect();
        jingle
    }

    fn stream(name: &str, ssrc: u32) -> Content {
        let mut content = super::offer(Role::Sender, "down", &side()).contents.remove(0);
        name.clone_into(&mut content.name);
        if let Some(description) = &mut content.description {
            description.sources[0].ssrc = ssrc;
            description.groups =
                vec![SourceGroup { semantics: "FID".to_owned(), sources: vec![ssrc, ssrc + 1] }];
        }
        content
    }

    #[test]
    fn what_comes_to_a_session_is_accepted_as_that() {
        let accepted = |action| {
            let jingle = accept(&offer(action, &[("f2", 5), ("f3", 7)]), &side());
            let names: Vec<String> = jingle.contents.into_iter().map(|one| one.name).collect();
            (jingle.action, jingle.sid, names)
        };
        let names = || vec!["f2".to_owned(), "f3".to_owned()];
        let down = || "down".to_owned();
        let begun = accepted(Action::SessionInitiate);
        assert_eq!(begun, (Action::SessionAccept, down(), names()));
        let more = accepted(Action::ContentAdd);
        assert_eq!(more, (Action::ContentAccept, down(), names()));
    }

    #[test]
    fn tracks_of_a_leg_have_each_a_number_and_its_extensions_are_named_once() {
        let begun = offer(Action::SessionInitiate, &[("f1", 5), ("f2", 7)]);
        let leg = receiving_leg(&begun, &side()).unwrap();
        assert_eq!(leg.extensions, [(4, MID.to_owned())]);
        let more = tracks(&offer(Action::ContentAdd, &[("f3", 9)]), 2).unwrap();
        let all: Vec<_> = leg
            .tracks
            .iter()
            .chain(&more)
            .map(|one| (one.track.0, one.mid.as_str(), one.sources.clone()))
            .collect();
        assert_eq!(
            all,
            [
                (0, "f1", vec![(5, Some(6))]),
                (1, "f2", vec![(7, Some(8))]),
                (2, "f3", vec![(9, Some(10))]),
            ]
        );
    }
}
