//! What is written, as a player sees it. Skipped where there is none (`ffmpeg`).

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use wello_sfu::api::Codec;

use super::assembly::Assembly;
use super::assembly::tests::{now, packet};
use super::file::Files;
use super::{av1, h264};

/// Decodes all pictures of a file; returns its codec and how many there are.
fn play(file: &Path) -> Option<(String, String)> {
    let probe = Command::new("ffprobe")
        .args(["-v", "error", "-of", "csv=p=0", "-count_frames"])
        .args(["-show_entries", "stream=codec_name,nb_read_frames"])
        .arg(file)
        .output()
        .ok()?;
    assert!(probe.stderr.is_empty(), "{}", String::from_utf8_lossy(&probe.stderr));
    let text = String::from_utf8(probe.stdout).unwrap();
    let (codec, count) = text.trim().split_once(',').unwrap();
    Some((codec.to_owned(), count.to_owned()))
}

/// Pictures, each in one or more packets.
fn recorded(codec: Codec, pictures: &[&[&[u8]]]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let (start, mut assembly) = (now(), Assembly::new(codec));
    let mut files = Files::new(folder.path().to_owned(), "s1", "hall/juliet", 1 << 20);
    let mut seq = 0;
    for (number, picture) in (0..).zip(pictures) {
        for (place, payload) in picture.iter().enumerate() {
            let mut taped = packet(codec, seq, payload, start + Duration::from_millis(number * 33));
            taped.timestamp = number as u32 * 3000;
            taped.marker = place + 1 == picture.len();
            for frame in assembly.push(taped, start) {
                files.write(frame).unwrap();
            }
            seq += 1;
        }
    }
    let part = files.finish().unwrap().unwrap();
    (folder, part.name)
}

#[test]
fn h264_is_played() {
    let (sps, pps, idr, next) =
        (&h264::tests::SPS, &h264::tests::PPS, &h264::tests::IDR, &h264::tests::NEXT);
    let (folder, name) = recorded(Codec::H264, &[&[sps, pps, idr], &[next]]);
    assert_eq!(name, "s1-1.mkv");
    if let Some(played) = play(&folder.path().join(name)) {
        assert_eq!(played, ("h264".to_owned(), "2".to_owned()));
    }
}

#[test]
fn av1_is_played() {
    let whole = [&[0x28, 11][..], &av1::tests::HEAD, &av1::tests::FRAME].concat();
    let (folder, name) = recorded(Codec::Av1, &[&[&whole]]);
    assert_eq!(name, "s1-1.mkv");
    if let Some(played) = play(&folder.path().join(name)) {
        assert_eq!(played, ("av1".to_owned(), "1".to_owned()));
    }
}
