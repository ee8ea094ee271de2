//! Files as encoders write them: a second of silence, then a second of a tone.

use proptest::prelude::*;

use super::opus::samples;
use super::*;
use crate::ptt::waveform::waveform;

const OGG: &[u8] = include_bytes!("../fixtures/voice.ogg");
const WEBM: &[u8] = include_bytes!("../fixtures/voice.webm");
const AAC: &[u8] = include_bytes!("../fixtures/aac.m4a");
const FRAGMENTS: &[u8] = include_bytes!("../fixtures/fragments.m4a");
const OPUS: &[u8] = include_bytes!("../fixtures/opus.m4a");
const VORBIS: &[u8] = include_bytes!("../fixtures/vorbis.ogg");

fn opus(file: &[u8]) -> OpusTrack {
    match read(file).unwrap() {
        Recording::Opus(track) => track,
        Recording::Finished(Finished { content: Coded::Opus(track), .. }) => track,
        other @ Recording::Finished(_) => panic!("{other:?}"),
    }
}

fn finished(file: &[u8]) -> Finished {
    match read(file).unwrap() {
        Recording::Finished(finished) => finished,
        other @ Recording::Opus(_) => panic!("{other:?}"),
    }
}

/// Two seconds, up to a packet and what encoders add.
fn is_two_seconds(duration: Duration) -> bool {
    (1990..2100).contains(&duration.as_millis())
}

#[test]
fn the_same_packets_come_out_of_each_container() {
    let track = opus(OGG);
    assert_eq!((track.channels, track.input_rate), (1, 48_000));
    assert!(is_two_seconds(track.duration()), "{:?}", track.duration());
    for file in [WEBM, OPUS] {
        let other = opus(file);
        assert!(is_two_seconds(other.duration()), "{:?}", other.duration());
        assert_eq!(other.packets[10], track.packets[10]);
    }
}

#[test]
fn what_is_written_is_read_again() {
    let track = opus(WEBM);
    let file = write_opus(&track);
    let read = finished(&file);
    assert_eq!(read.duration, track.duration());
    assert_eq!(read.content, Coded::Opus(track));
}

#[test]
fn other_codecs_are_measured() {
    for file in [AAC, FRAGMENTS] {
        let Finished { duration, content } = finished(file);
        assert!(is_two_seconds(duration), "{duration:?}");
        // 1024 samples a frame.
        assert!(matches!(content, Coded::Sizes(sizes) if (94..98).contains(&sizes.len())));
    }
    assert_eq!(read(VORBIS).unwrap_err(), BadRecording::NoAudio);
    assert_eq!(read(b"RIFF....WAVE").unwrap_err(), BadRecording::Unknown);
    assert_eq!(read(b"").unwrap_err(), BadRecording::Unknown);
}

#[test]
fn the_waveform_shows_silence_and_sound() {
    for file in [OGG, WEBM, OPUS] {
        let wave = waveform(&Coded::Opus(opus(file)));
        assert!(wave[..30].iter().all(|level| *level < 40), "{wave:?}");
        // Half of full scale is 6 dB below it, and a sine 3 dB below a square.
        assert!(wave[34..62].iter().all(|level| (200..240).contains(level)), "{wave:?}");
    }
    let wave = waveform(&finished(AAC).content);
    let (silence, sound) = (wave[10..30].iter().max(), wave[36..60].iter().min());
    assert!(silence < sound, "{wave:?}");
}

#[test]
fn damage_is_noticed() {
    let mut damaged = OGG.to_vec();
    damaged[2000] ^= 1;
    assert_eq!(read(&damaged).unwrap_err(), BadRecording::Damaged);
    for file in [OGG, WEBM, AAC, OPUS] {
        assert_eq!(read(&file[..file.len() - 5]).unwrap_err(), BadRecording::Damaged);
    }
}

#[test]
fn packets_say_how_long_they_are() {
    // Section 3.1 of RFC 6716: SILK 60 ms; hybrid 20 ms; CELT 2.5 ms, twice; CELT 20 ms, six times.
    for (packet, expected) in [
        (&[0b0001_1000][..], Some(2880)),
        (&[0b0110_1000], Some(960)),
        (&[0b1000_0001], Some(240)),
        (&[0b1111_1011, 6], Some(5760)),
        (&[0b1111_1011, 7], None),
        (&[0b1111_1011, 0], None),
        (&[0b1111_1011], None),
        (&[], None),
    ] {
        assert_eq!(samples(packet), expected, "{packet:?}");
    }
}

proptest! {
    #[test]
    fn nothing_makes_a_reader_fall(
        which in 0..5usize,
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut file = [OGG, WEBM, AAC, FRAGMENTS, OPUS][which].to_vec();
        for (place, value) in changes {
            let place = place.index(file.len());
            file[place] = value;
        }
        let _ = read(&file);
        let _ = read(&file[..cut.index(file.len())]);
    }
}
