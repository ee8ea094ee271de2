//! Waiting for other programs, which tell nobody when they are ready.

use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A server that starts on a busy machine takes less.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(100);

/// Looks until it is so, or fails with the explanation.
pub fn wait_until(is_so: impl Fn() -> bool, explanation: impl Fn() -> String) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "{}", explanation());
        std::thread::sleep(PAUSE);
    }
}

/// Waits until somebody listens there.
pub fn wait_for_port(port: u16, explanation: impl Fn() -> String) {
    let listens = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    wait_until(listens, || format!("nobody listens on {port}: {}", explanation()));
}
