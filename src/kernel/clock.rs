//! The one place where the server asks for the time and for randomness.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use wello_store::Timestamp;

/// Tells the time; tests turn it by hand.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    #[default]
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands still at `at` until [`Clock::advance`].
    pub fn manual(at: Timestamp) -> Clock {
        Clock::Manual(Arc::new(AtomicI64::new(at.as_micros())))
    }

    pub fn now(&self) -> Timestamp {
        match self {
            Clock::System => {
                #[allow(clippy::disallowed_methods)] // The only reader of the wall clock.
                let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                // A clock before 1970 is as good as one at 1970.
                let micros = since.unwrap_or_default().as_micros();
                Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
            }
            Clock::Manual(micros) => Timestamp::from_micros(micros.load(Ordering::Relaxed)),
        }
    }

    /// Moves a manual clock forward.
    pub fn advance(&self, micros: i64) {
        if let Clock::Manual(now) = self {
            now.fetch_add(micros, Ordering::Relaxed);
        }
    }
}

/// An unguessable id of 120 random bits, as 24 characters of base 32.
pub fn random_id() -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    random_bytes::<24>().iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect()
}

/// Random bytes of cryptographic quality.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Without randomness no secret could be kept: stopping is the only safe answer.
    #[allow(clippy::expect_used)]
    getrandom::fill(&mut bytes).expect("the operating system gives random numbers");
    bytes
}
