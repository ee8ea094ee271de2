//! Placeholders in script text: `{name}` values, `{any}` wildcards, `{capture:x}`, functions.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use regex::Regex;
use sha1::{Digest, Sha1};
use sha2::Sha256;

use crate::client::sasl::salted_password;
use crate::xml::escape;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    /// `{any}` or `{any:REGEX}`
    Any(Option<String>),
    /// `{?}` or `{?:REGEX}`: may be absent
    Maybe(Option<String>),
    /// `{none}`: must be absent
    Absent,
    /// `{*}`: further children allowed (only as text of a pattern element)
    Children,
    /// `{capture:x}` or `{capture:x:REGEX}`
    Capture(String, Option<String>),
    Call(String, Vec<Template>),
    Var(String),
}

/// Text with placeholders, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let after = &rest[open + 1..];
            if let Some(doubled) = after.strip_prefix('{') {
                literal.push_str(&rest[..=open]);
                rest = doubled;
                continue;
            }
            // A brace that cannot start a placeholder (JSON, mostly) is itself.
            if !after.starts_with(|c: char| c.is_ascii_lowercase() || c == '*' || c == '?') {
                literal.push_str(&rest[..=open]);
                rest = after;
                continue;
            }
            literal.push_str(&rest[..open]);
            let close = matching_brace(after).ok_or_else(|| format!("unclosed {{ in {text:?}"))?;
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(parse_piece(&after[..close])?);
            rest = &after[close + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Self(pieces))
    }

    pub(crate) fn allows_children(&self) -> bool {
        self.0.contains(&Piece::Children)
    }

    pub(crate) fn without_children_mark(&self) -> Self {
        Self(self.0.iter().filter(|p| **p != Piece::Children).cloned().collect())
    }

    pub(crate) fn is_blank(&self) -> bool {
        self.0.iter().all(|p| matches!(p, Piece::Literal(l) if l.trim().is_empty()))
    }

    /// Text to send in well-formed XML: values are escaped, literals are the script's own markup.
    pub(crate) fn render_xml(&self, vars: &Vars) -> Result<String, String> {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(l) => out.push_str(l),
                Piece::Var(name) => out.push_str(&escape(&vars.lookup(name)?)),
                other => out.push_str(&other.render(vars)?),
            }
        }
        Ok(out)
    }

    pub(crate) fn render(&self, vars: &Vars) -> Result<String, String> {
        self.0.iter().map(|p| p.render(vars)).collect()
    }

    /// Bytes to send as they are: escapes such as `\xff` in the literals are resolved.
    pub(crate) fn render_raw(&self, vars: &Vars) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(l) => out.extend(unescape(l)?),
                other => out.extend(other.render(vars)?.into_bytes()),
            }
        }
        Ok(out)
    }

    /// Compares with a received value (`None`: absent). Captures are returned on success.
    pub(crate) fn match_value(
        &self,
        vars: &Vars,
        got: Option<&str>,
    ) -> Result<Vec<(String, String)>, String> {
        match (self.0.as_slice(), got) {
            ([Piece::Maybe(_)], None) | ([Piece::Absent], None) => return Ok(Vec::new()),
            ([Piece::Absent], Some(v)) => return Err(format!("is {v:?}, should be absent")),
            (_, None) => return Err("is absent".to_owned()),
            _ => {}
        }
        let got = got.unwrap_or_default();
        let mut source = String::from("(?s)^");
        let mut names = Vec::new();
        for piece in &self.0 {
            piece.push_regex(vars, &mut source, &mut names)?;
        }
        source.push('$');
        let regex = Regex::new(&source).map_err(|e| e.to_string())?;
        let found =
            regex.captures(got).ok_or_else(|| format!("is {got:?}, does not match {source}"))?;
        Ok(names
            .into_iter()
            .enumerate()
            .map(|(i, name)| {
                let value = found.name(&format!("c{i}")).map_or("", |m| m.as_str());
                (name, value.to_owned())
            })
            .collect())
    }
}

impl Piece {
    fn render(&self, vars: &Vars) -> Result<String, String> {
        match self {
            Self::Literal(l) => Ok(l.clone()),
            Self::Var(name) => vars.lookup(name),
            Self::Call(name, args) => call(name, args, vars),
            other => Err(format!("{other:?} cannot be sent")),
        }
    }

    fn push_regex(
        &self,
        vars: &Vars,
        out: &mut String,
        names: &mut Vec<String>,
    ) -> Result<(), String> {
        match self {
            Self::Any(re) | Self::Maybe(re) => {
                out.push_str(&format!("(?:{})", re.as_deref().unwrap_or(".*")));
            }
            Self::Capture(name, re) => {
                let re = re.as_deref().unwrap_or(".+");
                out.push_str(&format!("(?P<c{}>{re})", names.len()));
                names.push(name.clone());
            }
            Self::Children => return Err("{*} stands only inside an element".to_owned()),
            other => out.push_str(&regex::escape(&other.render(vars)?)),
        }
        Ok(())
    }
}

/// The values a script knows: built-ins, captures, `set` steps. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vars {
    map: Rc<RefCell<HashMap<String, String>>>,
}

impl Vars {
    pub(crate) fn set(&self, name: &str, value: impl Into<String>) {
        self.map.borrow_mut().insert(name.to_owned(), value.into());
    }

    pub(crate) fn forget(&self, name: &str) {
        self.map.borrow_mut().remove(name);
    }

    /// A copy that changes apart from the original.
    pub(crate) fn snapshot(&self) -> Self {
        Self { map: Rc::new(RefCell::new(self.map.borrow().clone())) }
    }

    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.map.borrow().get(name).cloned()
    }

    fn lookup(&self, name: &str) -> Result<String, String> {
        if name == "now" {
            return Ok(jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        }
        if let Some(value) = self.get(name) {
            return Ok(value);
        }
        // `{uuid.x}` is made at first use and stays the same within a script.
        if name.starts_with("uuid.") {
            let value = random_uuid();
            self.set(name, value.clone());
            return Ok(value);
        }
        Err(format!("unknown value {{{name}}}"))
    }
}

fn parse_piece(inner: &str) -> Result<Piece, String> {
    let (head, tail) = match inner.split_once(':') {
        Some((h, t)) => (h, Some(t)),
        None => (inner, None),
    };
    let owned = tail.map(str::to_owned);
    Ok(match head {
        "any" => Piece::Any(checked(owned)?),
        "?" => Piece::Maybe(checked(owned)?),
        "none" => Piece::Absent,
        "*" => Piece::Children,
        "capture" => {
            let tail = tail.ok_or("capture needs a name")?;
            match tail.split_once(':') {
                Some((name, re)) => Piece::Capture(name.into(), checked(Some(re.into()))?),
                None => Piece::Capture(tail.into(), None),
            }
        }
        _ => match tail {
            Some(tail) if FUNCTIONS.contains(&head) => {
                Piece::Call(head.to_owned(), split_args(tail)?)
            }
            Some(_) => return Err(format!("unknown function {head}")),
            None => Piece::Var(head.to_owned()),
        },
    })
}

fn checked(re: Option<String>) -> Result<Option<String>, String> {
    if let Some(re) = &re {
        Regex::new(re).map_err(|e| e.to_string())?;
    }
    Ok(re)
}

fn matching_brace(text: &str) -> Option<usize> {
    let mut depth = 1;
    for (i, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(i);
        }
    }
    None
}

fn split_args(text: &str) -> Result<Vec<Template>, String> {
    let mut args = Vec::new();
    let mut rest = text;
    loop {
        let (arg, after) = match rest.strip_prefix('\'') {
            Some(quoted) => {
                let end = quote_end(quoted).ok_or_else(|| format!("unclosed ' in {text:?}"))?;
                (&quoted[..end], &quoted[end + 1..])
            }
            None => rest.split_at(rest.find(':').unwrap_or(rest.len())),
        };
        args.push(Template::parse(arg)?);
        match after.strip_prefix(':') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(args),
            None => return Err(format!("text after an argument: {after:?}")),
        }
    }
}

/// A quote inside nested braces belongs to the inner call.
fn quote_end(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (i, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            '\'' if depth == 0 => return Some(i),
            _ => {}
        }
    }
    None
}

const FUNCTIONS: [&str; 13] = [
    "repeat",
    "base64-hex",
    "count",
    "salted",
    "upper",
    "base64",
    "unbase64",
    "sha1",
    "sha1-hex",
    "sha256",
    "ht",
    "ht-reply",
    "lower",
];

fn call(name: &str, args: &[Template], vars: &Vars) -> Result<String, String> {
    let bytes: Vec<Vec<u8>> = args.iter().map(|a| a.render_raw(vars)).collect::<Result<_, _>>()?;
    let arg = |i: usize| bytes.get(i).map_or(&[][..], Vec::as_slice);
    let text = |i: usize| String::from_utf8_lossy(arg(i)).into_owned();
    match name {
        "repeat" => {
            let times: usize = text(0).parse().map_err(|_| "repeat needs a number".to_owned())?;
            Ok(text(1).repeat(times))
        }
        "count" => {
            let times: usize = text(0).parse().map_err(|_| "count needs a number".to_owned())?;
            Ok((0..times).map(|i| text(1).replace('%', &i.to_string())).collect())
        }
        "base64" => Ok(BASE64.encode(arg(0))),
        "base64-hex" => {
            let mut raw = arg(0).to_vec();
            raw.extend(from_hex(&text(1))?);
            Ok(BASE64.encode(raw))
        }
        "unbase64" => {
            let raw = BASE64.decode(arg(0)).map_err(|e| e.to_string())?;
            String::from_utf8(raw).map_err(|e| e.to_string())
        }
        "sha1" => Ok(BASE64.encode(Sha1::digest(arg(0)))),
        "sha1-hex" => Ok(to_hex(&Sha1::digest(arg(0)))),
        "sha256" => Ok(BASE64.encode(Sha256::digest(arg(0)))),
        "salted" => {
            salted_password(&text(0), &text(1), &text(2), &text(3)).map_err(|e| e.to_string())
        }
        "lower" => Ok(text(0).to_lowercase()),
        "upper" => Ok(text(0).to_uppercase()),
        // XEP-0484 tokens: authcid NUL HMAC(token, "Initiator" || channel binding in hex)
        "ht" => {
            let mut out = arg(0).to_vec();
            out.push(0);
            out.extend(ht_mac(arg(1), b"Initiator", &text(2))?);
            Ok(BASE64.encode(out))
        }
        "ht-reply" => Ok(BASE64.encode(ht_mac(arg(0), b"Responder", &text(1))?)),
        other => Err(format!("unknown function {other}")),
    }
}

fn ht_mac(token: &[u8], label: &[u8], binding_hex: &str) -> Result<Vec<u8>, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(token).map_err(|e| e.to_string())?;
    mac.update(label);
    mac.update(&from_hex(binding_hex)?);
    Ok(mac.finalize().into_bytes().to_vec())
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    (0..text.len())
        .step_by(2)
        .map(|i| {
            text.get(i..i + 2)
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
                .ok_or_else(|| format!("bad hex {text:?}"))
        })
        .collect()
}

fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend(c.to_string().into_bytes());
            continue;
        }
        match chars.next() {
            Some('n') => out.push(b'\n'),
            Some('r') => out.push(b'\r'),
            Some('t') => out.push(b'\t'),
            Some('0') => out.push(0),
            Some('x') => {
                let pair: String = chars.by_ref().take(2).collect();
                out.extend(from_hex(&pair)?);
            }
            Some(other) => out.extend(other.to_string().into_bytes()),
            None => return Err("text ends in a backslash".to_owned()),
        }
    }
    Ok(out)
}

/// Hexadecimal digits from the system's random source.
pub(crate) fn random_hex(bytes: usize) -> String {
    let mut raw = vec![0; bytes];
    // Without a random source nothing can run: TLS has failed before this.
    getrandom::fill(&mut raw).expect("the system has a random source");
    to_hex(&raw)
}

fn random_uuid() -> String {
    let h = random_hex(16);
    format!("{}-{}-4{}-8{}-{}", &h[..8], &h[8..12], &h[13..16], &h[17..20], &h[20..32])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(pattern: &str, got: Option<&str>) -> Result<Vec<(String, String)>, String> {
        let vars = Vars::default();
        vars.set("romeo.bare", "romeo@a.b");
        Template::parse(pattern).unwrap().match_value(&vars, got)
    }

    #[test]
    fn wildcards_match_and_refuse() {
        assert!(matched("{romeo.bare}/{any}", Some("romeo@a.b/x")).is_ok());
        assert!(matched("{romeo.bare}/{any}", Some("romeo@aXb/x")).is_err());
        assert!(matched("{any:[0-9]{3}}", Some("123")).is_ok());
        assert!(matched("{any:[0-9]{3}}", Some("1234")).is_err());
        assert!(matched("{?}", None).is_ok());
        assert!(matched("{any}", None).is_err());
        assert!(matched("{none}", Some("")).is_err());
        let captured = matched("a{capture:x}b", Some("a1b")).unwrap();
        assert_eq!(captured, [("x".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn functions_nest() {
        let vars = Vars::default();
        vars.set("u", "al");
        let render = |t: &str| Template::parse(t).unwrap().render(&vars).unwrap();
        assert_eq!(render("{base64:'\\0{u}\\0pw'}"), "AGFsAHB3");
        assert_eq!(render("{repeat:3:'<a>'}"), "<a><a><a>");
        assert_eq!(render("{\"json\": {}}"), "{\"json\": {}}");
        assert_eq!(render("{{urn:x}text"), "{urn:x}text");
        assert_eq!(render("{uuid.a}"), render("{uuid.a}"));
    }

    #[test]
    fn raw_text_resolves_escapes() {
        let raw = Template::parse("a\\xff\\n\\\\").unwrap().render_raw(&Vars::default());
        assert_eq!(raw.unwrap(), b"a\xff\n\\");
    }
}
