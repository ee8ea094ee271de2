//! Recordings of conferences (docs/protocols/calls.md): what each participant sends goes into files
//! of his own, as it comes, and a manifest tells how they belong together.

mod assembly;
mod av1;
mod bits;
mod control;
mod file;
mod h264;
mod manifest;
mod matroska;
mod ogg;
mod opus;
#[cfg(test)]
mod players;
mod storing;
mod vpx;
mod writer;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use wello_kernel::media::TapeRecorder;
use wello_sfu::api::{ConferenceId, TrackId};
use wello_sfu::tape::Taped;

use self::writer::Queue;

pub(super) use self::control::Turn;
pub use self::control::{Leftovers, PAUSE, RESUME, START, STOP};
pub use self::writer::Origin;

/// Those that are written now.
pub struct Recordings {
    /// Where they are until they are stored.
    folder: PathBuf,
    /// At once.
    most: usize,
    running: Mutex<HashMap<ConferenceId, Running>>,
    /// Folders, by their names, that somebody writes or stores.
    busy: Mutex<HashSet<String>>,
}

struct Running {
    queue: Arc<Queue>,
    origins: HashMap<TrackId, Origin>,
    paused: bool,
}

impl Recordings {
    pub fn new(folder: PathBuf, most: usize) -> Recordings {
        Recordings { folder, most, running: Mutex::default(), busy: Mutex::default() }
    }

    /// The tracks of a conference are these now.
    pub fn update(&self, id: ConferenceId, origins: impl FnOnce() -> HashMap<TrackId, Origin>) {
        let mut running = self.running.lock();
        let Some(running) = running.get_mut(&id) else { return };
        let origins = origins();
        if running.origins != origins {
            running.origins.clone_from(&origins);
            running.queue.origins(origins);
        }
    }

    pub fn speaks(&self, id: ConferenceId, track: Option<TrackId>) {
        let running = self.running.lock();
        let Some(running) = running.get(&id) else { return };
        if let Some(origin) = track.and_then(|track| running.origins.get(&track)) {
            running.queue.speaks(&origin.occupant);
        }
    }

    /// What is written comes to its end. `false` when nothing was.
    pub fn stop(&self, id: ConferenceId) -> bool {
        let stopped = self.running.lock().remove(&id);
        stopped.inspect(|running| running.queue.stop()).is_some()
    }

    /// Nothing is written until it is resumed. `false` when nothing was.
    fn pause(&self, id: ConferenceId) -> bool {
        let mut running = self.running.lock();
        let Some(running) = running.get_mut(&id).filter(|running| !running.paused) else {
            return false;
        };
        running.paused = true;
        running.queue.pause();
        true
    }

    /// `false` when it is not paused.
    fn resume(&self, id: ConferenceId) -> bool {
        let mut running = self.running.lock();
        let paused = running.get_mut(&id).filter(|running| running.paused);
        paused.map(|running| running.paused = false).is_some()
    }

    /// Whether there may be any.
    pub fn are_allowed(&self) -> bool {
        self.most > 0
    }

    /// `None` when there are too many, or this conference is recorded already.
    fn begin(&self, conference: ConferenceId, id: &str) -> Option<Arc<Queue>> {
        let mut running = self.running.lock();
        if running.len() >= self.most || running.contains_key(&conference) {
            return None;
        }
        self.claim(id);
        let queue = Arc::<Queue>::default();
        let origins = HashMap::new();
        running.insert(conference, Running { queue: Arc::clone(&queue), origins, paused: false });
        Some(queue)
    }

    /// `false` when somebody else is at this folder.
    fn claim(&self, id: &str) -> bool {
        self.busy.lock().insert(id.to_owned())
    }

    fn release(&self, id: &str) {
        self.busy.lock().remove(id);
    }
}

impl TapeRecorder for Recordings {
    fn take(&self, packet: Taped) {
        let running = self.running.lock();
        // Some may have been on their way when it was paused.
        let running = running.get(&packet.conference).filter(|running| !running.paused);
        if let Some(running) = running {
            running.queue.packet(packet);
        }
    }
}
