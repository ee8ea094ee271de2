//! Whatever a sender says of its frames is read within its bounds, and what is passed on of it can be
//! read as well.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use wello_sfu::peer::dependency::{Described, Descriptions};

/// Octets of an element of a header extension.
const MAX: usize = 255;

fuzz_target!(|input: &[u8]| {
    let mut here = Descriptions::default();
    let mut there = Descriptions::default();
    let mut input = input;
    // Each begins with its length and what is left of its decode targets.
    for seq in 1.. {
        let [length, targets, rest @ ..] = input else { break };
        let (octets, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        input = rest;
        let octets: Arc<[u8]> = octets.into();
        let targets = u32::from(*targets) * 0x0101_0101;
        let frame = here.read(seq, &octets);
        let mut passed = Vec::new();
        Described::new(&octets, frame.as_ref(), 7, Some(targets)).write(&mut passed);
        assert!(passed.len() <= MAX);
        let read = there.read(seq, &passed);
        assert_eq!(read.is_some(), frame.is_some());
        let Some((read, frame)) = read.zip(frame) else { continue };
        assert_eq!((read.number, read.layers, read.attaches), (7, frame.layers, frame.attaches));
        assert_eq!(read.all(), frame.all());
    }
});
