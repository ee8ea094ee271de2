//! Base64 as the XMPP profiles of SASL use it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::failure::{Condition, Failure, Reason};

/// The data of an `<auth/>` (RFC 6120, section 6.4.2): no text means that there is no initial
/// response, `=` means that it is empty.
///
/// # Errors
/// `incorrect-encoding` unless the text is base64 of at most `max` octets.
pub fn decode_initial(text: &str, max: usize) -> Result<Option<Vec<u8>>, Failure> {
    match text.trim_ascii() {
        "" => Ok(None),
        "=" => Ok(Some(Vec::new())),
        text => decode(text, max).map(Some),
    }
}

/// The data of every other element. `=` is taken as empty here too, because clients use one
/// function for both.
///
/// # Errors
/// `incorrect-encoding` unless the text is base64 of at most `max` octets.
pub fn decode(text: &str, max: usize) -> Result<Vec<u8>, Failure> {
    // XEP-0388 only advises against white space around the data, and its examples have some.
    let text = text.trim_ascii();
    if text == "=" {
        return Ok(Vec::new());
    }
    if text.len() / 4 > max.div_ceil(3) {
        return Err(Failure::malformed(Reason::TooLong));
    }
    let data = strict(text).ok_or(Failure::new(Condition::IncorrectEncoding, Reason::Base64))?;
    match data.len() <= max {
        true => Ok(data),
        false => Err(Failure::malformed(Reason::TooLong)),
    }
}

/// Text for an element that must carry data, which may be empty.
pub fn encode(data: &[u8]) -> String {
    STANDARD.encode(data)
}

/// Text for the `<success/>` of RFC 6120, section 6.4.6: `=` tells empty data from none.
pub fn encode_success(data: Option<&[u8]>) -> String {
    match data {
        None => String::new(),
        Some([]) => "=".to_owned(),
        Some(data) => encode(data),
    }
}

/// Base64 with padding, without white space and without stray bits (RFC 4648, section 3.5).
pub(super) fn strict(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}
