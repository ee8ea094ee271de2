use super::container::BadRecording;
use super::prepare::prepare;
use super::*;

const OGG: &[u8] = include_bytes!("fixtures/voice.ogg");
const AAC: &[u8] = include_bytes!("fixtures/aac.m4a");

#[test]
fn recordings_are_held_to_their_length_and_made_playable() {
    let seconds = Duration::from_secs;
    let clip = prepare(OGG, seconds(3)).unwrap();
    let file = clip.file.unwrap();
    assert_eq!(&file[4..12], b"ftypM4A ");
    // What was written is taken as it is, and told the same of.
    let again = prepare(&file, seconds(3)).unwrap();
    assert_eq!((again.file, again.duration, again.waveform), (None, clip.duration, clip.waveform));
    assert_eq!(prepare(AAC, seconds(3)).unwrap().file, None);
    assert_eq!(prepare(OGG, seconds(1)).unwrap_err(), Unfit::TooLong(1));
    assert_eq!(prepare(b"MThd", seconds(1)).unwrap_err(), Unfit::Bad(BadRecording::Unknown));
}

#[test]
fn names_tell_the_time() {
    assert_eq!(compact(Timestamp::from_secs(1_800_000_000)), "20270115-080000");
    assert_eq!(compact(Timestamp::from_micros(1)), "19700101-000000");
}

/// The schema says what is written, and nothing else.
#[test]
fn the_schema_names_what_a_clip_has() {
    let schema = include_str!("../../../schemas/ptt-0.xsd");
    assert!(schema.contains(&format!("targetNamespace='{}'", ns::PTT)));
    let clip = Clip {
        url: String::new(),
        name: String::new(),
        media_type: String::new(),
        size: 0,
        sha256: [0; 32],
        duration: 0,
        waveform: Vec::new(),
        channel: Some("a@b".to_owned()),
    };
    let clip = clip.to_children().into_iter().find(|child| child.is("clip", ns::PTT)).unwrap();
    let mut written: Vec<_> = clip.attrs().iter().map(|attr| attr.name.as_str()).collect();
    let named = schema.split("<xs:attribute name='").skip(1);
    let mut named: Vec<_> = named.filter_map(|rest| rest.split('\'').next()).collect();
    written.sort_unstable();
    named.sort_unstable();
    assert_eq!(written, named);
    assert!(schema.contains("<xs:element name='clip'>"));
}
