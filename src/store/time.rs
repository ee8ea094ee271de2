use wello_wire::payload::datetime::Timestamp;

/// The clock of this machine. Only for ids inside the store; times that others see are given by
/// the caller.
#[expect(clippy::disallowed_methods, reason = "nothing is decided by it, so no test sets it")]
pub(crate) fn wall_clock() -> Timestamp {
    let elapsed =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX))
}
