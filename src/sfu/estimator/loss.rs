//! How many packets get lost (draft-ietf-rmcat-gcc-02, section 6).

/// So much has to be known for a verdict: packets, and microseconds.
const LEAST: u32 = 50;
const WINDOW: i64 = 500_000;
/// Weight of a new window among the last ones.
const NEW: f64 = 0.3;
/// Below the first share of losses there may be more, above the second there has to be less.
const LITTLE: f64 = 0.02;
const MUCH: f64 = 0.1;

#[derive(Default)]
pub struct Loss {
    since: i64,
    packets: u32,
    lost: u32,
    /// Of the last window, and of the last ones.
    share: f64,
    smoothed: f64,
}

impl Loss {
    pub fn add(&mut self, is_lost: bool) {
        self.packets = self.packets.saturating_add(1);
        self.lost = self.lost.saturating_add(u32::from(is_lost));
    }

    /// One that was counted as lost has arrived.
    pub fn take_back(&mut self) {
        self.lost = self.lost.saturating_sub(1);
    }

    /// The share that was lost, at the end of each window in which it was too much.
    pub fn verdict(&mut self, now: i64) -> Option<f64> {
        if self.packets < LEAST || now < self.since + WINDOW {
            return None;
        }
        let share = f64::from(self.lost) / f64::from(self.packets);
        let smoothed = self.smoothed + NEW * (share - self.smoothed);
        *self = Loss { since: now, packets: 0, lost: 0, share, smoothed };
        self.is_heavy().then_some(share)
    }

    pub fn permits_more(&self) -> bool {
        self.share < LITTLE
    }

    pub fn is_heavy(&self) -> bool {
        self.share > MUCH
    }

    pub fn smoothed(&self) -> f64 {
        self.smoothed
    }
}
