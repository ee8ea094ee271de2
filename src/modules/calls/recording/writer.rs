//! The thread that writes a recording, and the queue in front of it.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use wello_sfu::api::TrackId;
use wello_sfu::tape::Taped;

use super::assembly::Assembly;
use super::file::Files;
use super::manifest::{Manifest, Part, Pause, Speaker};

/// Bytes that may wait for the disk: some seconds of a large conference.
const MAX_WAITING: usize = 16 * 1024 * 1024;
/// How much of what is recorded a crash of the machine may lose.
const FLUSH: Duration = Duration::from_secs(1);

/// Whose a track is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub stream: String,
    pub occupant: String,
}

enum Note {
    Packet(Taped),
    /// What tracks there are.
    Origins(HashMap<TrackId, Origin>),
    Speaks(String),
    Pause,
    Stop,
}

/// Never waits for who writes.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    notes: VecDeque<Note>,
    bytes: usize,
    dropped: u64,
}

impl Queue {
    pub fn packet(&self, packet: Taped) {
        let mut state = self.state.lock();
        if state.bytes + packet.payload.len() > MAX_WAITING {
            state.dropped += 1;
            return;
        }
        state.bytes += packet.payload.len();
        state.notes.push_back(Note::Packet(packet));
        self.arrived.notify_one();
    }

    pub fn origins(&self, origins: HashMap<TrackId, Origin>) {
        self.note(Note::Origins(origins));
    }

    pub fn speaks(&self, occupant: &str) {
        self.note(Note::Speaks(occupant.to_owned()));
    }

    pub fn pause(&self) {
        self.note(Note::Pause);
    }

    pub fn stop(&self) {
        self.note(Note::Stop);
    }

    /// There are as few of these as there are changes in a conference, which are counted.
    fn note(&self, note: Note) {
        self.state.lock().notes.push_back(note);
        self.arrived.notify_one();
    }

    /// `None` when nothing has come for a while.
    fn next(&self) -> Option<Note> {
        let mut state = self.state.lock();
        if state.notes.is_empty() {
            self.arrived.wait_for(&mut state, FLUSH);
        }
        let note = state.notes.pop_front()?;
        if let Note::Packet(packet) = &note {
            state.bytes -= packet.payload.len();
        }
        Some(note)
    }

    fn dropped(&self) -> u64 {
        self.state.lock().dropped
    }
}

/// Writes one recording.
pub struct Writer {
    folder: PathBuf,
    limits: Limits,
    manifest: Manifest,
    origins: HashMap<TrackId, Origin>,
    tracks: HashMap<TrackId, Assembly>,
    /// By stream.
    files: HashMap<String, Files>,
    /// By stream: by how many microseconds its sender's clock is ahead of the recording.
    clocks: HashMap<String, Option<i64>>,
    written: u64,
    times: Option<Times>,
    /// Since when nothing is to be recorded, until the next packet.
    paused: Option<u64>,
}

/// In bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of one file.
    pub file: u64,
    /// Of the whole recording, which ends there.
    pub all: u64,
}

/// When packets came.
#[derive(Clone, Copy)]
struct Times {
    first: Instant,
    last: Instant,
    flushed: Instant,
}

impl Times {
    /// Milliseconds since the beginning.
    fn passed(self) -> u64 {
        let passed = self.last.saturating_duration_since(self.first);
        u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Writer {
    /// Makes the folder.
    pub fn new(folder: PathBuf, manifest: Manifest, limits: Limits) -> io::Result<Writer> {
        std::fs::create_dir_all(&folder)?;
        manifest.write(&folder)?;
        Ok(Writer {
            folder,
            limits,
            manifest,
            origins: HashMap::new(),
            tracks: HashMap::new(),
            files: HashMap::new(),
            clocks: HashMap::new(),
            written: 0,
            times: None,
            paused: None,
        })
    }

    /// Until it is stopped, or has become too long.
    pub fn run(mut self, queue: &Queue) -> io::Result<Manifest> {
        while self.written < self.limits.all {
            match queue.next() {
                Some(Note::Packet(packet)) => self.packet(packet)?,
                Some(Note::Origins(origins)) => self.origins(origins)?,
                Some(Note::Speaks(occupant)) => self.speaks(occupant),
                Some(Note::Pause) => self.pause()?,
                Some(Note::Stop) => break,
                None => {}
            }
        }
        self.manifest.dropped = queue.dropped();
        self.finish()
    }

    fn packet(&mut self, packet: Taped) -> io::Result<()> {
        let (now, track, codec) = (packet.arrived, packet.track, packet.codec);
        self.written += packet.payload.len() as u64;
        let times = self.times.get_or_insert(Times { first: now, last: now, flushed: now });
        times.last = now;
        let to_ms = times.passed();
        self.manifest.pauses.extend(self.paused.take().map(|from_ms| Pause { from_ms, to_ms }));
        let begun = times.first;
        let is_due = now >= times.flushed + FLUSH;
        if is_due {
            times.flushed = now;
        }
        let assembly = self.tracks.entry(track).or_insert_with(|| Assembly::new(codec));
        let clock = self.origins.get(&track).and_then(|origin| self.clocks.get_mut(&origin.stream));
        if let Some(clock) = clock {
            assembly.synchronise(&packet, begun, clock);
        }
        for frame in assembly.push(packet, begun) {
            // Nobody has said yet whose it is.
            let Some(origin) = self.origins.get(&track) else { continue };
            let files = self.files.entry(origin.stream.clone()).or_insert_with(|| {
                Files::new(self.folder.clone(), &origin.stream, &origin.occupant, self.limits.file)
            });
            let ended = files.write(frame)?;
            self.manifest.files.extend(ended);
        }
        if is_due {
            self.files.values_mut().try_for_each(Files::flush)?;
            self.save()?;
        }
        Ok(())
    }

    fn speaks(&mut self, occupant: String) {
        let at_ms = self.times.map_or(0, Times::passed);
        self.manifest.speakers.push(Speaker { at_ms, occupant });
    }

    /// What there is goes into files, and what comes later into new ones.
    fn pause(&mut self) -> io::Result<()> {
        let Some(times) = self.times else { return Ok(()) };
        self.paused = Some(times.passed());
        for (track, mut assembly) in std::mem::take(&mut self.tracks) {
            let origin = self.origins.get(&track);
            let files = origin.and_then(|origin| self.files.get_mut(&origin.stream));
            let Some(files) = files else { continue };
            for frame in assembly.finish(times.first) {
                self.manifest.files.extend(files.write(frame)?);
            }
        }
        for files in self.files.values_mut() {
            self.manifest.files.extend(files.finish()?);
        }
        self.save()
    }

    /// Tracks that are no more are written to their end.
    fn origins(&mut self, origins: HashMap<TrackId, Origin>) -> io::Result<()> {
        let before = std::mem::replace(&mut self.origins, origins);
        let clocks = std::mem::take(&mut self.clocks);
        let streams = self.origins.values().map(|origin| &origin.stream);
        let known = |stream: &String| clocks.get(stream).copied().flatten();
        self.clocks = streams.map(|stream| (stream.clone(), known(stream))).collect();
        for (track, origin) in before {
            if self.origins.contains_key(&track) {
                continue;
            }
            let begun = self.times.map(|times| times.first);
            let rest = self.tracks.remove(&track).zip(begun);
            let rest = rest.map(|(mut assembly, begun)| assembly.finish(begun));
            let Some(files) = self.files.get_mut(&origin.stream) else { continue };
            for frame in rest.into_iter().flatten() {
                self.manifest.files.extend(files.write(frame)?);
            }
            if self.origins.values().all(|other| other.stream != origin.stream) {
                self.manifest.files.extend(files.finish()?);
                self.files.remove(&origin.stream);
            }
        }
        self.save()
    }

    /// With the files that are written now.
    fn save(&self) -> io::Result<()> {
        let current = self.files.values().filter_map(Files::current).cloned();
        let files: Vec<Part> = self.manifest.files.iter().cloned().chain(current).collect();
        Manifest { files, ..self.manifest.clone() }.write(&self.folder).map(drop)
    }

    fn finish(mut self) -> io::Result<Manifest> {
        self.origins(HashMap::new())?;
        self.manifest
            .files
            .sort_by(|one, other| (one.offset_ms, &one.name).cmp(&(other.offset_ms, &other.name)));
        self.manifest.write(&self.folder)?;
        Ok(self.manifest)
    }
}

#[cfg(test)]
mod tests {
    use wello_sfu::api::Codec;

    use super::super::assembly::tests::{now, packet, picture};
    use super::*;

    const LIMITS: Limits = Limits { file: 1 << 20, all: 1 << 24 };

    fn manifest() -> Manifest {
        Manifest {
            id: "r".to_owned(),
            room: "hall@conference.localhost".to_owned(),
            begun_by: "hall@conference.localhost/juliet".to_owned(),
            account: "juliet@localhost".to_owned(),
            begun: "2026-11-21T18:00:00Z".to_owned(),
            files: Vec::new(),
            speakers: Vec::new(),
            pauses: Vec::new(),
            dropped: 0,
        }
    }

    fn origins(tracks: &[u64]) -> HashMap<TrackId, Origin> {
        let origin = |track: &u64| {
            let (stream, occupant) = (format!("s{track}"), "hall/juliet".to_owned());
            (TrackId(*track), Origin { stream, occupant })
        };
        tracks.iter().map(origin).collect()
    }

    #[test]
    fn what_is_recorded_is_told_in_the_manifest() {
        let folder = tempfile::tempdir().unwrap();
        let (begun, queue) = (now(), Queue::default());
        let writer = Writer::new(folder.path().join("r"), manifest(), LIMITS).unwrap();
        queue.origins(origins(&[1]));
        for seq in 0..200 {
            let at = begun + Duration::from_millis(seq * 20);
            queue.packet(packet(Codec::Opus, seq, &[0xf8, 1, 2], at));
        }
        queue.speaks("hall/juliet");
        queue.stop();
        let told = writer.run(&queue).unwrap();
        assert_eq!(told.files.len(), 1);
        assert_eq!((told.files[0].name.as_str(), told.files[0].duration_ms), ("s1-1.ogg", 4000));
        assert_eq!(told.speakers, [Speaker { at_ms: 3980, occupant: "hall/juliet".to_owned() }]);
        assert_eq!(Manifest::read(&folder.path().join("r")).unwrap(), told);
    }

    #[test]
    fn a_pause_ends_files_and_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (begun, queue) = (now(), Queue::default());
        let writer = Writer::new(folder.path().join("r"), manifest(), LIMITS).unwrap();
        queue.origins(origins(&[1]));
        let sound = |seq| {
            let at = begun + Duration::from_millis(seq * 20);
            queue.packet(packet(Codec::Opus, seq, &[0xf8, 1, 2], at));
        };
        (0..200).for_each(sound);
        queue.pause();
        (300..400).for_each(sound);
        queue.stop();
        let told = writer.run(&queue).unwrap();
        let parts: Vec<_> =
            told.files.iter().map(|part| (part.name.as_str(), part.offset_ms)).collect();
        assert_eq!(parts, [("s1-1.ogg", 0), ("s1-2.ogg", 6000)]);
        assert_eq!(told.files[0].duration_ms, 4000);
        assert_eq!(told.pauses, [Pause { from_ms: 3980, to_ms: 6000 }]);
    }

    #[test]
    fn who_leaves_ends_his_file_and_who_is_not_known_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let (begun, queue) = (now(), Queue::default());
        let writer = Writer::new(folder.path().join("r"), manifest(), LIMITS).unwrap();
        for packet in picture(0, true, begun) {
            queue.packet(packet);
        }
        queue.origins(origins(&[1]));
        for packet in picture(2, true, begun) {
            queue.packet(packet);
        }
        queue.origins(HashMap::new());
        for packet in picture(4, true, begun) {
            queue.packet(packet);
        }
        queue.stop();
        let told = writer.run(&queue).unwrap();
        let names: Vec<&str> = told.files.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, ["s1-1.webm"]);
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let (queue, large) = (Queue::default(), vec![0; MAX_WAITING / 2]);
        for seq in 0..3 {
            queue.packet(packet(Codec::Vp8, seq, &large, now()));
        }
        assert_eq!(queue.dropped(), 1);
        assert!(matches!(queue.next(), Some(Note::Packet(_))));
        queue.packet(packet(Codec::Vp8, 3, &large, now()));
        assert_eq!(queue.dropped(), 1);
    }
}
