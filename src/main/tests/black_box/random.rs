//! Numbers that a printed seed brings back.

use std::time::SystemTime;

/// xorshift64 (Marsaglia, 2003).
pub struct Random(u64);

impl Random {
    /// Seeded by WELLO_TEST_SEED, or by the clock; the seed is printed with what a test prints.
    pub fn seeded() -> Random {
        let given = std::env::var("WELLO_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let seed = given.unwrap_or(clock.as_nanos() as u64 | 1);
        println!("WELLO_TEST_SEED={seed}");
        Random(seed.max(1))
    }

    /// For a task of its own.
    pub fn from(seed: u64) -> Random {
        Random(seed.max(1))
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
