//! The one place where the server asks for the time and for randomness.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use wello_store::Timestamp;

pub use wello_stream::random::{random_bytes, random_id};

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
