//! How many things are under way at once, altogether and for one.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// More than these at once are refused.
const MAX: usize = 2000;
const MAX_OF_ONE: usize = 4;

#[derive(Clone, Default)]
pub struct Flights(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    all: usize,
    of: HashMap<String, usize>,
}

/// A place; given up when it is dropped.
pub struct Flight {
    key: String,
    flights: Flights,
}

impl Flights {
    /// `None` when there are too many.
    pub fn begin(&self, key: &str) -> Option<Flight> {
        let mut state = self.0.lock();
        if state.all >= MAX || state.of.get(key).is_some_and(|count| *count >= MAX_OF_ONE) {
            return None;
        }
        state.all += 1;
        *state.of.entry(key.to_owned()).or_default() += 1;
        Some(Flight { key: key.to_owned(), flights: self.clone() })
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut state = self.flights.0.lock();
        state.all -= 1;
        if let Some(count) = state.of.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                state.of.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_come_back() {
        let flights = Flights::default();
        let of_one: Vec<_> = std::iter::from_fn(|| flights.begin("a")).collect();
        assert_eq!(of_one.len(), MAX_OF_ONE);
        let others: Vec<_> = (0..MAX).map_while(|n| flights.begin(&n.to_string())).collect();
        assert_eq!(others.len(), MAX - MAX_OF_ONE);
        drop((of_one, others));
        assert!(flights.begin("a").is_some());
        let state = flights.0.lock();
        assert!(state.all == 0 && state.of.is_empty());
    }
}
