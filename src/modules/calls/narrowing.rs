//! What can still come to a transport that is open: it learns neither codecs nor header extensions.

use wello_sfu::api::{Codec, Payload};
use wello_sfu::peer::webrtc::{MID, RID};
use wello_wire::payload::jingle::Extension;

use super::negotiate::{Offered, all_extensions, all_payloads, engine_payloads};

/// Numbers that programs on libwebrtc give to what is not offered yet, such as the camera of a call
/// that begins with voice.
const USUAL: [Payload; 5] = [
    Payload { pt: 111, rtx: None, codec: Codec::Opus },
    Payload { pt: 96, rtx: Some(97), codec: Codec::Vp8 },
    Payload { pt: 98, rtx: Some(99), codec: Codec::Vp9 },
    Payload { pt: 102, rtx: Some(103), codec: Codec::H264 },
    Payload { pt: 45, rtx: Some(46), codec: Codec::Av1 },
];

/// What a transport speaks that is opened for these contents.
pub fn spoken<'a>(contents: impl IntoIterator<Item = &'a Offered>) -> Vec<Payload> {
    let mut spoken = all_payloads(contents);
    for usual in USUAL {
        let numbers = |payload: &Payload| [Some(payload.pt), payload.rtx];
        let mut taken = spoken.iter().flat_map(numbers).flatten();
        if !taken.any(|number| numbers(&usual).contains(&Some(number))) {
            spoken.push(usual);
        }
    }
    spoken
}

/// What of a content can come to a transport that was opened for these.
pub fn narrowed(mut offered: Offered, known: &[&Offered]) -> Option<Offered> {
    let spoken = spoken(known.iter().copied());
    let wanted = engine_payloads(offered.media, &offered.payloads);
    let understood: Vec<&Payload> = wanted
        .iter()
        .filter(|wish| spoken.iter().any(|one| (one.pt, one.codec) == (wish.pt, wish.codec)))
        .collect();
    let repeats = |id: u8| {
        let repeated = understood.iter().find(|payload| payload.rtx == Some(id));
        repeated.is_some_and(|repeated| spoken.contains(repeated))
    };
    offered.payloads.retain(|payload| {
        understood.iter().any(|known| known.pt == payload.id) || repeats(payload.id)
    });
    let extensions = all_extensions(known.iter().copied());
    let is_known = |extension: &Extension| {
        extensions.iter().any(|(id, uri)| (u16::from(*id), uri) == (extension.id, &extension.uri))
    };
    offered.extensions.retain(is_known);
    let has = |uri: &str| offered.extensions.iter().any(|extension| extension.uri == uri);
    let is_told = match offered.layers.is_empty() {
        true => !offered.sends || !offered.sources.is_empty() || has(MID),
        false => has(MID) && has(RID),
    };
    (!offered.payloads.is_empty() && is_told).then_some(offered)
}

#[cfg(test)]
mod tests {
    use wello_sfu::api::{Media, Mid};
    use wello_wire::payload::jingle::PayloadType;

    use super::*;

    fn payload(id: u8, name: &str, apt: Option<u8>) -> PayloadType {
        PayloadType {
            id,
            name: name.to_owned(),
            clockrate: Some(if name == "opus" { 48_000 } else { 90_000 }),
            channels: None,
            ptime: None,
            maxptime: None,
            parameters: apt.map(|apt| ("apt".to_owned(), apt.to_string())).into_iter().collect(),
            feedback: Vec::new(),
        }
    }

    fn content(media: Media, payloads: Vec<PayloadType>) -> Offered {
        let name = if media == Media::Audio { "0" } else { "1" };
        Offered {
            mid: Mid::new(name).unwrap(),
            media,
            sends: true,
            payloads,
            extensions: Vec::new(),
            sources: vec![(7, None)],
            layers: Vec::new(),
            categories: Vec::new(),
            mixed: false,
        }
    }

    fn extension(id: u16, uri: &str) -> Extension {
        Extension { id, uri: uri.to_owned() }
    }

    #[test]
    fn a_camera_comes_by_the_usual_numbers() {
        let voice = content(Media::Audio, vec![payload(111, "opus", None)]);
        let camera = content(
            Media::Video,
            vec![
                payload(96, "VP8", None),
                payload(97, "rtx", Some(96)),
                payload(120, "VP9", None),
                payload(98, "H264", None),
                payload(102, "H264", None),
                payload(121, "rtx", Some(102)),
            ],
        );
        let taken = narrowed(camera, &[&voice]).unwrap();
        let ids: Vec<u8> = taken.payloads.iter().map(|payload| payload.id).collect();
        assert_eq!(ids, [96, 97, 102]);
        let other = content(Media::Video, vec![payload(120, "VP8", None)]);
        assert_eq!(narrowed(other, &[&voice]), None);
    }

    #[test]
    fn numbers_of_the_session_come_before_the_usual_ones() {
        let voice = content(Media::Audio, vec![payload(97, "opus", None)]);
        let numbers: Vec<u8> = spoken([&voice]).iter().map(|payload| payload.pt).collect();
        assert_eq!(numbers, [97, 111, 98, 102, 45]);
    }

    #[test]
    fn sources_are_told_or_named_as_before() {
        let voice = Offered {
            extensions: vec![extension(4, MID)],
            ..content(Media::Audio, vec![payload(111, "opus", None)])
        };
        let camera = |extensions: Vec<Extension>| Offered {
            extensions,
            sources: Vec::new(),
            ..content(Media::Video, vec![payload(96, "VP8", None)])
        };
        let fits = |id| narrowed(camera(vec![extension(id, MID)]), &[&voice]).is_some();
        assert!(fits(4) && !fits(5));
        let more = camera(vec![extension(4, MID), extension(6, "urn:x")]);
        assert_eq!(narrowed(more, &[&voice]).unwrap().extensions, [extension(4, MID)]);
    }
}
