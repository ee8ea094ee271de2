//! Names and media types of files, which clients choose and others read.

/// What file systems and HTTP headers carry everywhere.
const MAX_NAME_BYTES: usize = 200;
/// Of the longest registered types with their parameters.
const MAX_TYPE_BYTES: usize = 200;
/// For a file of which nothing better is known (XEP-0363, section 7).
pub const UNKNOWN_TYPE: &str = "application/octet-stream";

/// The last part of a path, without what could hide what it is: control characters, characters
/// that turn the direction of writing. Keeps the ending (XEP-0363, section 4). Never empty.
pub fn file_name(text: &str) -> String {
    let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = last.chars().filter(|c| !is_deceptive(*c)).collect();
    // Dots in front hide a file, or lead up from where it is; whoever takes away blanks would bring them there.
    let name =
        shortened(name.trim_start_matches(|c: char| c == '.' || c.is_whitespace()).trim_end());
    if name.is_empty() { "file".to_owned() } else { name }
}

fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(character, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}')
}

/// Cuts the middle out of what is too long.
fn shortened(name: &str) -> String {
    if name.len() <= MAX_NAME_BYTES {
        return name.to_owned();
    }
    // What is longer is no ending that a program looks at.
    let ending = name.rfind('.').map_or("", |dot| &name[dot..]);
    let ending = if ending.len() <= 16 { ending } else { "" };
    let mut end = MAX_NAME_BYTES - ending.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{ending}", name[..end].trim_end())
}

/// As it stands in a path (RFC 3986, section 2.3).
pub fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => {
                out.push('%');
                for digit in [byte >> 4, byte & 15] {
                    out.extend(
                        char::from_digit(u32::from(digit), 16).map(|c| c.to_ascii_uppercase()),
                    );
                }
            }
        }
    }
    out
}

/// A media type with its parameters, if it is one (RFC 9110, section 8.3.1).
pub fn media_type(text: &str) -> Option<String> {
    let text = text.trim();
    let (kind, sub) = essence(text).split_once('/')?;
    let token = |part: &str| !part.is_empty() && part.bytes().all(is_token);
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let valid = token(kind) && token(sub) && printable && text.len() <= MAX_TYPE_BYTES;
    valid.then(|| text.to_owned())
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A media type without its parameters.
pub fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

/// Whether a browser may show a file instead of storing it. Those that it would run or that hold
/// links and scripts of their own are not among them: HTML, SVG, XML, PDF.
pub fn is_inert(media_type: &str) -> bool {
    let essence = essence(media_type).to_ascii_lowercase();
    match essence.split_once('/') {
        Some(("image", kind)) => !kind.contains("svg") && !kind.contains("xml"),
        Some(("audio" | "video", kind)) => !kind.contains("xml"),
        _ => essence == "text/plain",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_keep_what_they_say_and_nothing_else() {
        for (given, expected) in [
            ("très cool.jpg", "très cool.jpg"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\me\\x.txt", "x.txt"),
            ("..", "file"),
            (".htaccess", "htaccess"),
            (". .. .htaccess", "htaccess"),
            ("", "file"),
            ("a/", "file"),
            ("a\r\nSet-Cookie: b.jpg", "aSet-Cookie: b.jpg"),
            ("annual_\u{202e}fdp.exe", "annual_fdp.exe"),
        ] {
            assert_eq!(file_name(given), expected, "{given:?}");
        }
        let long = file_name(&format!("{}.jpeg", "ü".repeat(300)));
        assert!(long.len() <= MAX_NAME_BYTES && long.ends_with("ü.jpeg"));
    }

    #[test]
    fn types() {
        assert_eq!(
            media_type(" text/plain; charset=utf-8").as_deref(),
            Some("text/plain; charset=utf-8")
        );
        for bad in
            ["", "text", "text/", "/plain", "te xt/plain", "text/plain\r\nx: y", "a/b; \u{fc}"]
        {
            assert_eq!(media_type(bad), None, "{bad:?}");
        }
        for inert in ["image/png", "IMAGE/JPEG", "audio/mp4", "video/webm", "text/plain;charset=x"]
        {
            assert!(is_inert(inert), "{inert}");
        }
        for active in [
            "text/html",
            "image/svg+xml",
            "application/xhtml+xml",
            "text/xml",
            "application/pdf",
            "text/javascript",
            "application/octet-stream",
            "image/svg",
            "nonsense",
            "Image/SVG+xml; a=b",
        ] {
            assert!(!is_inert(active), "{active}");
        }
    }

    proptest! {
        #[test]
        fn names_are_safe(text in "\\PC*|.{0,300}") {
            let name = file_name(&text);
            prop_assert!(!name.is_empty() && name.len() <= MAX_NAME_BYTES);
            let unsafe_part = name.contains(['/', '\\', '\0', '\n', '\r']) || name.starts_with('.');
            prop_assert!(!unsafe_part);
            let path = percent_encoded(&name);
            prop_assert!(path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
            prop_assert_eq!(file_name(&name), name);
        }
    }
}
