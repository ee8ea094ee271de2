//! Keys for accounts that do not exist, so that nobody can find out which ones do.

use std::fmt;

use wello_wire::jid::BareJid;

use super::hash::ScramHash;
use super::scram::{MAX_ITERATIONS, MIN_ITERATIONS, SALT_LEN, ScramKeys};

/// Makes the same keys for the same name every time, from a secret of the server: a salt that
/// changed between two attempts, or a missing one, would tell that there is no account.
#[derive(Clone)]
pub struct FakeKeys {
    secret: [u8; 32],
    iterations: u32,
}

impl FakeKeys {
    /// `secret` must stay the same over restarts; `iterations` (at least 4096) should be those
    /// of most real accounts.
    pub fn new(secret: [u8; 32], iterations: u32) -> FakeKeys {
        FakeKeys { secret, iterations: iterations.clamp(MIN_ITERATIONS, MAX_ITERATIONS) }
    }

    /// Keys that look like those of `account` and that no password fits.
    pub(super) fn keys(&self, account: &BareJid, hash: ScramHash) -> ScramKeys {
        let derive = |purpose: &[u8]| {
            let name = hash.mechanism_name().as_bytes();
            let parts = [purpose, b"\0", name, b"\0", account.as_str().as_bytes()];
            ScramHash::Sha512.hmac(&self.secret, &parts)
        };
        let length = hash.output_len();
        let (salt, stored, server) = (derive(b"salt"), derive(b"stored"), derive(b"server"));
        let (salt, stored, server) = (&salt[..SALT_LEN], &stored[..length], &server[..length]);
        // `new` has clamped the iterations, and the lengths are the right ones by construction.
        ScramKeys::from_keys(hash, salt, self.iterations, stored, server)
            .expect("fake keys are within the bounds")
    }

    /// A token that nobody has, to spend the time of a real check on.
    pub(super) fn token(&self, account: &BareJid) -> Vec<u8> {
        let parts: [&[u8]; 2] = [b"token\0", account.as_str().as_bytes()];
        ScramHash::Sha256.hmac(&self.secret, &parts)
    }
}

impl fmt::Debug for FakeKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeKeys").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}
