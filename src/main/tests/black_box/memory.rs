//! How much memory the server takes, as the kernel of the machine counts it.

use std::fmt;

/// Of a process, in KiB.
#[derive(Clone, Copy)]
pub struct Memory {
    pid: u32,
    before: u64,
}

/// What an attack did to it, in KiB.
pub struct Growth {
    before: u64,
    peak: u64,
}

impl Memory {
    /// From here on its peak is watched.
    pub fn watch(pid: u32) -> Memory {
        // 5: forgets the peak until now, see proc(5).
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
        Memory { pid, before: field(pid, "VmRSS:") }
    }

    pub fn growth(self) -> Growth {
        Growth { before: self.before, peak: field(self.pid, "VmHWM:") }
    }
}

impl Growth {
    pub fn kib(&self) -> u64 {
        self.peak.saturating_sub(self.before)
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Growth { before, peak } = self;
        write!(f, "RSS {before} KiB before, {peak} KiB at its peak, {} KiB more", self.kib())
    }
}

fn field(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
