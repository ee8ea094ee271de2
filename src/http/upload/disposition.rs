//! Shown or stored, and under which name (RFC 6266).

use wello_kernel::files::{is_inert, percent_encoded};

/// Only what cannot run is shown by the browser itself.
pub(super) fn disposition(name: &str, media_type: &str) -> String {
    let kind = if is_inert(media_type) { "inline" } else { "attachment" };
    // Appendix D: programs that do not know the encoded form take the plain one.
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let encoded = percent_encoded(name);
    match plain == name {
        true => format!("{kind}; filename=\"{plain}\""),
        false => format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}"),
    }
}

/// A percent sign would be decoded by some.
fn is_plain(character: char) -> bool {
    matches!(character, ' '..='~') && !matches!(character, '"' | '\\' | '%')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_or_stored() {
        assert_eq!(disposition("a b.png", "image/png"), "inline; filename=\"a b.png\"");
        assert_eq!(disposition("a.svg", "image/svg+xml"), "attachment; filename=\"a.svg\"");
        assert_eq!(
            disposition("très\"cool\\.jpg", "image/jpeg"),
            "inline; filename=\"tr_s_cool_.jpg\"; filename*=UTF-8''tr%C3%A8s%22cool%5C.jpg"
        );
    }
}
