//! The elements of SCRAM upgrade tasks (XEP-0480).

use wello_wire::ns;
use wello_wire::xml::Element;

use super::{data_of, text_of};
use crate::sasl::{Condition, Failure, Reason, ScramHash, Upgrade, encoding};

/// The upgrades that an `<authenticate/>` asks for, each once, without unknown ones.
pub fn requested_upgrades(inline: &[Element]) -> Vec<ScramHash> {
    let requests = inline.iter().filter(|child| child.is("upgrade", ns::SASL_UPGRADE));
    let mut hashes = Vec::new();
    for hash in requests.filter_map(text_of).filter_map(|task| Upgrade::hash_of_task(&task)) {
        if !hashes.contains(&hash) {
            hashes.push(hash);
        }
    }
    hashes
}

/// What the client needs to compute the hash, for a `<task-data/>`.
pub fn salt(upgrade: &Upgrade) -> Element {
    Element::new("salt", ns::SCRAM_UPGRADE)
        .with_attr("iterations", upgrade.iterations().to_string())
        .with_text(encoding::encode(upgrade.salt()))
}

/// The hash in the client's `<task-data/>`.
///
/// # Errors
/// `malformed-request` if there is none, `incorrect-encoding` if it is not base64.
pub fn read_hash(task_data: &[Element], max: usize) -> Result<Vec<u8>, Failure> {
    let hash = task_data.iter().find(|child| child.is("hash", ns::SCRAM_UPGRADE));
    data_of(hash.ok_or(Failure::new(Condition::MalformedRequest, Reason::Syntax))?, max)
}
