//! Whatever a receiver reports is read within its bounds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wello_sfu::egress::rtcp::{Item, items};

/// Fates of packets in one compound packet.
const MAX_FATES: usize = 8192;

fuzz_target!(|compound: &[u8]| {
    let mut fates = 0;
    let mut others = 0;
    for item in items(compound) {
        match item {
            Item::Nack { lost, .. } => others += lost.count(),
            Item::Transport(feedback) => {
                let told = feedback.fates().count();
                assert!(told <= feedback.len());
                fates += told;
            }
            Item::Reception(reception) => {
                assert!((-(1 << 23)..1 << 23).contains(&reception.lost));
                others += 1;
            }
            Item::KeyframeWanted { .. } => others += 1,
        }
    }
    // An entry of 4 octets names 17 packets.
    assert!(fates <= MAX_FATES && others <= 5 * compound.len());
});
