//! An address that we accept has a form of its own that is stable, whole and within the limits.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wello_wire::jid::Jid;

/// Bytes of one part (RFC 7622, sections 3.2 to 3.4).
const MAX_PART: usize = 1023;

fuzz_target!(|text: &str| {
    if let Ok(strict) = Jid::parse_strict(text) {
        assert_eq!(
            text.parse::<Jid>().as_ref(),
            Ok(&strict),
            "strict accepts what lenient does not"
        );
    }
    let Ok(jid) = text.parse::<Jid>() else { return };
    let parts = [jid.local(), Some(jid.domain()), jid.resource()];
    for part in parts.into_iter().flatten() {
        assert!((1..=MAX_PART).contains(&part.len()), "{jid:?}");
    }
    assert_eq!(jid.as_str().parse::<Jid>().as_ref(), Ok(&jid), "normalising twice changes {jid:?}");
    assert_eq!(Jid::from_parts(jid.local(), jid.domain(), jid.resource()).as_ref(), Ok(&jid));
    let bare = jid.bare();
    assert!(bare.resource().is_none() && jid.as_str().starts_with(bare.as_str()));
    assert!(!jid.domain().contains(['@', '/']) && !jid.local().unwrap_or("").contains(['@', '/']));
});
