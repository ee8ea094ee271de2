use super::*;

fn offered(media: Media, layers: &[&str]) -> Offered {
    Offered {
        mid: Mid::new("0").unwrap(),
        media,
        sends: true,
        payloads: Vec::new(),
        extensions: Vec::new(),
        sources: Vec::new(),
        layers: layers.iter().map(|name| Rid::new(name).unwrap()).collect(),
        categories: Vec::new(),
        mixed: false,
    }
}

fn video(name: &str) -> PayloadType {
    PayloadType {
        id: 96,
        name: name.to_owned(),
        clockrate: Some(90_000),
        channels: None,
        ptime: None,
        maxptime: None,
        parameters: Vec::new(),
        feedback: Vec::new(),
    }
}

fn accepted(offered: &Offered, extensions: &[&str]) -> Content {
    let mut description = passed_on(offered, false);
    description.extensions.retain(|known| extensions.contains(&known.uri.as_str()));
    Content {
        creator: wello_wire::payload::jingle::Party::Initiator,
        name: "0".to_owned(),
        senders: None,
        description: Some(description),
        transport: None,
    }
}

#[test]
fn networks_are_looked_at_where_all_is_reported_and_there_is_a_choice() {
    let sound = offered(Media::Audio, &[]);
    let (layered, plain) = (offered(Media::Video, &["l", "h"]), offered(Media::Video, &["only"]));
    let looks = |sent: [&Offered; 2], extensions: [&[&str]; 2]| {
        let accepted = [accepted(sent[0], extensions[0]), accepted(sent[1], extensions[1])];
        own_extensions(sent, &accepted, false).iter().any(|(_, uri)| uri == TRANSPORT_CC)
    };
    let reported: &[&str] = &[MID, TRANSPORT_CC];
    assert!(looks([&sound, &layered], [reported, reported]));
    assert!(!looks([&sound, &layered], [&[MID], reported]));
    assert!(!looks([&sound, &layered], [reported, &[MID]]));
    // It was not offered.
    assert!(!looks([&sound, &plain], [reported, reported]));
    let preferring = |names: [&str; 2]| Offered {
        payloads: names.map(video).to_vec(),
        ..offered(Media::Video, &[])
    };
    assert!(looks([&sound, &preferring(["VP9", "VP8"])], [reported, reported]));
    assert!(!looks([&sound, &preferring(["VP8", "VP9"])], [reported, reported]));
    assert!(!looks([&sound, &sound], [reported, reported]));
    // Who prefers AV1 has to say which layer is which.
    let av1 = preferring(["AV1", "VP8"]);
    let extensions = vec![Extension { id: 9, uri: DEPENDENCY.to_owned() }];
    let described = Offered { extensions, ..av1.clone() };
    assert!(looks([&sound, &described], [reported, reported]));
    assert!(!looks([&sound, &av1], [reported, reported]));
}

#[test]
fn who_knows_descriptors_gets_them() {
    let (sound, picture) = (offered(Media::Audio, &[]), offered(Media::Video, &[]));
    let has = |accepted: &[Content]| {
        own_extensions([&sound], accepted, false).iter().any(|(_, uri)| uri == DEPENDENCY)
    };
    let (knows, knows_not) = (accepted(&picture, &[MID, DEPENDENCY]), accepted(&picture, &[MID]));
    assert!(knows.description.as_ref().unwrap().mixed, "they do not fit into the short form");
    let heard = accepted(&sound, &[MID, DEPENDENCY]);
    assert!(!heard.description.as_ref().unwrap().extensions.iter().any(|e| e.uri == DEPENDENCY));
    assert!(has(&[heard.clone(), knows.clone()]) && has(&[knows_not.clone(), knows]));
    assert!(!has(&[heard.clone(), knows_not]));
    assert!(has(&[heard]), "pictures may come later");
}
