use wello_sfu::api::Media;
use wello_wire::payload::jingle::{Action, Jingle, PayloadType};

use super::*;

fn guest(speaks_movim: bool) -> Guest {
    Guest {
        jid: "juliet@capulet.example/one".parse().unwrap(),
        occupant: "hall@conference.capulet.example/juliet".parse().unwrap(),
        voice: true,
        moderates: false,
        sees_addresses: false,
        shows_call: false,
        speaks_movim,
    }
}

#[test]
fn how_a_client_came_tells_its_dialect() {
    let plain = Jingle::new(Action::SessionInitiate, "u");
    let tag = Element::new(TAG, ns::JINGLE_PARTICIPANT);
    let gather = Element::new("gather", ns::CALLS);
    let gathering = Jingle { others: vec![gather], ..plain.clone() };
    let tagged = Jingle { others: vec![tag], ..plain.clone() };
    for (door, movim, offer, expected) in [
        (Door::Focus, false, &plain, Dialect::Sessions),
        (Door::Focus, false, &gathering, Dialect::Gathered),
        (Door::Focus, true, &plain, Dialect::Contents),
        (Door::Focus, false, &tagged, Dialect::Contents),
        (Door::Meet, false, &plain, Dialect::Pair),
        (Door::Meet, true, &tagged, Dialect::Pair),
    ] {
        assert_eq!(choose(door, &guest(movim), offer), expected, "{door:?} {movim}");
    }
}

fn payload(id: u8, name: &str, parameters: &[(&str, &str)]) -> PayloadType {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    PayloadType {
        id,
        name: name.to_owned(),
        clockrate: Some(90_000),
        channels: None,
        ptime: None,
        maxptime: None,
        parameters: parameters.iter().map(owned).collect(),
        feedback: Vec::new(),
    }
}

#[test]
fn formats_get_numbers_once_and_as_long_as_there_are_some() {
    let mut numbers = Numbers::default();
    let h264 = |id, profile| {
        let parameters = [("profile-level-id", profile), ("packetization-mode", "1")];
        payload(id, "H264", &parameters)
    };
    let first = [payload(120, "VP8", &[]), payload(124, "rtx", &[("apt", "120")])];
    let (named, pairs) = numbers.translate(Media::Video, &first);
    assert_eq!(pairs, [(120, 96)]);
    assert_eq!(named.iter().map(|named| named.id).collect::<Vec<_>>(), [96, 97]);
    assert_eq!(named[1].parameter("apt"), Some("96"));
    // The same format of another sender; the level is no other format.
    assert_eq!(numbers.translate(Media::Video, &[payload(97, "vp8", &[])]).1, [(97, 96)]);
    let high = [h264(98, "640c1f"), h264(99, "640c2a")];
    let (named, pairs) = numbers.translate(Media::Video, &high);
    assert_eq!((named.len(), pairs), (1, vec![(98, 102), (99, 102)]));
    let profiles = ["42e01f", "42001f", "4d001f", "58001f"].map(|profile| h264(100, profile));
    let given: Vec<usize> = profiles
        .iter()
        .map(|own| numbers.translate(Media::Video, std::slice::from_ref(own)).1.len())
        .collect();
    assert_eq!(given, [1, 1, 1, 0]);
}

#[test]
fn a_number_is_described_once() {
    let mut numbers = Numbers::default();
    let mut opus = |useinbandfec| {
        let fec = [("useinbandfec", useinbandfec)];
        let sound = PayloadType { clockrate: Some(48_000), ..payload(109, "opus", &fec) };
        numbers.translate(Media::Audio, &[sound]).0
    };
    let first = opus("1");
    assert_eq!((first[0].id, first[0].parameter("useinbandfec")), (111, Some("1")));
    assert_eq!(opus("0"), first);
}
