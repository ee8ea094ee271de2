//! The files of one stream: a new one begins when its sound or its pictures become other ones.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::time::Duration;

use wello_sfu::api::Codec;

use super::assembly::Frame;
use super::manifest::Part;
use super::matroska::{Block, Kind, Matroska};
use super::ogg::Ogg;
use super::opus;

/// How long the first frames wait for those of the other kind, which belong into the same file.
const TOGETHER: Duration = Duration::from_secs(2);
/// Frames that wait at most, in bytes.
const MAX_WAITING: usize = 8 * 1024 * 1024;

/// What is recorded of one stream of a participant.
pub struct Files {
    folder: PathBuf,
    /// The stream's name, with which those of its files begin.
    stream: String,
    occupant: String,
    count: u32,
    waiting: Vec<Frame>,
    open: Option<Open>,
    /// Bytes after which a new file begins: what may be stored as one.
    max_bytes: u64,
}

struct Open {
    container: Container,
    part: Part,
    begin: Duration,
    end: Duration,
}

enum Container {
    Sound(Ogg<BufWriter<File>>),
    Picture { file: Matroska<BufWriter<File>>, kinds: Vec<Kind> },
}

impl Files {
    pub fn new(folder: PathBuf, stream: &str, occupant: &str, max_bytes: u64) -> Files {
        Files {
            folder,
            stream: stream.to_owned(),
            occupant: occupant.to_owned(),
            count: 0,
            waiting: Vec::new(),
            open: None,
            max_bytes,
        }
    }

    /// Takes a frame; returns the file that has ended with it, if one has.
    pub fn write(&mut self, frame: Frame) -> io::Result<Option<Part>> {
        let fits = self.open.as_ref().is_none_or(|open| open.fits(&frame, self.max_bytes));
        let ended = if fits { None } else { self.end()? };
        match &mut self.open {
            Some(open) => open.write(&frame)?,
            None => self.wait(frame)?,
        }
        Ok(ended)
    }

    /// Puts what is written on the disk, as far as the system does it by itself.
    pub fn flush(&mut self) -> io::Result<()> {
        match self.open.as_mut().map(|open| &mut open.container) {
            Some(Container::Sound(file)) => file.flush(),
            Some(Container::Picture { file, .. }) => file.flush(),
            None => Ok(()),
        }
    }

    /// The file that is written, as far as it is.
    pub fn current(&self) -> Option<&Part> {
        self.open.as_ref().map(|open| &open.part)
    }

    pub fn finish(&mut self) -> io::Result<Option<Part>> {
        if self.open.is_none() && !self.waiting.is_empty() {
            self.begin()?;
        }
        self.end()
    }

    fn wait(&mut self, frame: Frame) -> io::Result<()> {
        let now = frame.at;
        // A file begins with a picture that stands alone.
        if self.waiting.iter().all(|waiting| is_sound(&waiting.kind)) && !frame.key {
            return Ok(());
        }
        self.waiting.push(frame);
        let kinds = kinds(&self.waiting);
        let bytes: usize = self.waiting.iter().map(|frame| frame.data.len()).sum();
        let first = self.waiting.first().map_or(now, |first| first.at);
        if kinds.len() > 1 || now >= first + TOGETHER || bytes > MAX_WAITING {
            self.begin()?;
        }
        Ok(())
    }

    fn begin(&mut self) -> io::Result<()> {
        let mut frames = std::mem::take(&mut self.waiting);
        frames.sort_by_key(|frame| frame.at);
        let kinds = kinds(&frames);
        let is_sound = kinds == [Kind::Sound];
        self.count += 1;
        let suffix = if is_sound {
            "ogg"
        } else if kinds.iter().all(Kind::is_web) {
            "webm"
        } else {
            "mkv"
        };
        let name = format!("{}-{}.{suffix}", self.stream, self.count);
        let file = BufWriter::new(File::create_new(self.folder.join(&name))?);
        let begin = frames.first().map_or(Duration::ZERO, |first| first.at);
        let part = Part {
            name,
            occupant: self.occupant.clone(),
            stream: self.stream.clone(),
            codecs: kinds.iter().map(|kind| codec_name(kind.codec()).to_owned()).collect(),
            offset_ms: millis(begin),
            duration_ms: 0,
            bytes: 0,
            url: None,
        };
        let container = match is_sound {
            true => Container::Sound(Ogg::begin(file)?),
            false => Container::Picture { file: Matroska::begin(file, &kinds)?, kinds },
        };
        let mut open = Open { container, part, begin, end: begin };
        for frame in &frames {
            open.write(frame)?;
        }
        self.open = Some(open);
        Ok(())
    }

    fn end(&mut self) -> io::Result<Option<Part>> {
        let Some(Open { container, mut part, begin, end }) = self.open.take() else {
            return Ok(None);
        };
        part.duration_ms = millis(end.saturating_sub(begin));
        let file = match container {
            Container::Sound(file) => file.finish()?,
            Container::Picture { file, .. } => file.finish(part.duration_ms)?,
        };
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        part.bytes = file.metadata()?.len();
        Ok(Some(part))
    }
}

impl Open {
    /// Whether a frame belongs into this file.
    fn fits(&self, frame: &Frame, max_bytes: u64) -> bool {
        let has_room = self.part.bytes + frame.data.len() as u64 <= max_bytes;
        let is_known = match &self.container {
            Container::Sound(_) => is_sound(&frame.kind),
            Container::Picture { kinds, .. } => place(kinds, &frame.kind).is_some(),
        };
        // Without a picture that stands alone nothing else could begin.
        is_known && (has_room || !frame.key || is_sound(&frame.kind))
    }

    fn write(&mut self, frame: &Frame) -> io::Result<()> {
        let at = frame.at.saturating_sub(self.begin);
        let end = frame.at + length(frame);
        match &mut self.container {
            Container::Sound(file) => {
                let samples = (end.saturating_sub(self.begin)).as_micros() * u128::from(opus::RATE);
                file.write(&frame.data, u64::try_from(samples / 1_000_000).unwrap_or(u64::MAX))?;
            }
            Container::Picture { file, kinds } => {
                let Some(track) = place(kinds, &frame.kind) else { return Ok(()) };
                let begins = frame.key && !is_sound(&frame.kind);
                let (at, key) = (millis(at), frame.key);
                file.write(&Block { track, at, key, begins, data: &frame.data })?;
            }
        }
        self.part.bytes += frame.data.len() as u64;
        self.end = self.end.max(end);
        Ok(())
    }
}

fn is_sound(kind: &Kind) -> bool {
    *kind == Kind::Sound
}

fn place(kinds: &[Kind], kind: &Kind) -> Option<u8> {
    let place = kinds.iter().position(|known| known.is_like(kind))?;
    u8::try_from(place).ok()
}

/// What there is in a file, pictures first. Of two kinds of pictures the later one counts.
fn kinds(frames: &[Frame]) -> Vec<Kind> {
    let picture = frames.iter().rev().map(|frame| &frame.kind).find(|kind| !is_sound(kind));
    let sound = frames.iter().map(|frame| &frame.kind).find(|kind| is_sound(kind));
    picture.into_iter().chain(sound).cloned().collect()
}

fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::Opus => "opus",
        Codec::Vp8 => "vp8",
        Codec::Vp9 => "vp9",
        Codec::H264 => "h264",
        Codec::Av1 => "av1",
    }
}

/// How long a frame lasts; of a picture nobody knows.
fn length(frame: &Frame) -> Duration {
    let samples = if is_sound(&frame.kind) { opus::samples(&frame.data) } else { 0 };
    Duration::from_micros(u64::from(samples) * 1_000_000 / u64::from(opus::RATE))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::matroska::Picture;
    use super::*;

    const PICTURE: Kind =
        Kind::Picture(Picture { codec: Codec::Vp8, width: 64, height: 48, private: Vec::new() });

    fn frame(kind: Kind, at: u64, key: bool) -> Frame {
        Frame { kind, at: Duration::from_millis(at), key, data: vec![0xf8, 1, 2, 3] }
    }

    fn files(folder: &std::path::Path, max_bytes: u64) -> Files {
        Files::new(folder.to_owned(), "s1", "hall@conference.localhost/juliet", max_bytes)
    }

    #[test]
    fn sound_and_picture_go_into_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = files(folder.path(), 1000);
        assert_eq!(files.write(frame(Kind::Sound, 100, true)).unwrap(), None);
        assert!(files.current().is_none());
        // It cannot be shown.
        files.write(frame(PICTURE, 110, false)).unwrap();
        files.write(frame(PICTURE, 120, true)).unwrap();
        files.write(frame(Kind::Sound, 140, true)).unwrap();
        let part = files.finish().unwrap().unwrap();
        assert_eq!((part.name.as_str(), part.codecs.join(" ")), ("s1-1.webm", "vp8 opus".into()));
        assert_eq!((part.offset_ms, part.duration_ms), (100, 60));
        let written = std::fs::read(folder.path().join("s1-1.webm")).unwrap();
        assert_eq!(written.len() as u64, part.bytes);
    }

    #[test]
    fn sound_alone_is_in_a_file_of_its_own_until_a_picture_comes() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = files(folder.path(), 1000);
        for at in (0..2200).step_by(20) {
            assert_eq!(files.write(frame(Kind::Sound, at, true)).unwrap(), None);
        }
        assert_eq!(files.current().unwrap().name, "s1-1.ogg");
        let sound = files.write(frame(PICTURE, 2200, true)).unwrap().unwrap();
        assert_eq!((sound.codecs.join(" ").as_str(), sound.duration_ms), ("opus", 2200));
        files.write(frame(Kind::Sound, 2210, true)).unwrap();
        assert_eq!(files.finish().unwrap().unwrap().name, "s1-2.webm");
    }

    #[test]
    fn a_file_ends_where_it_has_grown_too_large() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = files(folder.path(), 20);
        let mut ended = Vec::new();
        for at in 0..12 {
            ended.extend(files.write(frame(PICTURE, at * 3000, at % 3 == 0)).unwrap());
        }
        ended.extend(files.finish().unwrap());
        let offsets: Vec<u64> = ended.iter().map(|part| part.offset_ms).collect();
        assert_eq!(offsets, [0, 18_000]);
    }
}
