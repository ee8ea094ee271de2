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
