//! Normalisation of the three parts: PRECIS (RFC 7622), else stringprep (RFC 6122).

use std::{borrow::Cow, net::Ipv6Addr};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use precis_profiles::{
    OpaqueString, UsernameCaseMapped,
    precis_core::{
        DerivedPropertyValue, Error as PrecisError, FreeformClass, IdentifierClass, StringClass,
        profile::{Profile, Rules},
    },
};
use stringprep::{nodeprep, resourceprep, tables};
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory as Gc, UnicodeGeneralCategory};

use super::{JidError, MAX_PART_BYTES, Part};

/// RFC 1035 §2.3.4.
const MAX_LABEL_BYTES: usize = 63;

type Prepared<'a> = Result<Cow<'a, str>, JidError>;

pub(super) fn local(text: &str) -> Prepared<'_> {
    check_length(Part::Local, text)?;
    if is_ascii_local(text) {
        return Ok(lower_ascii(text));
    }
    stable(Part::Local, text, lenient_local)
}

pub(super) fn local_strict(text: &str) -> Prepared<'_> {
    check_length(Part::Local, text)?;
    stable(Part::Local, text, |s| {
        let name = UsernameCaseMapped::new().enforce(s).map_err(|e| refused(Part::Local, &e))?;
        without_excluded(name)
    })
}

pub(super) fn resource(text: &str) -> Prepared<'_> {
    check_length(Part::Resource, text)?;
    if is_ascii_resource(text) {
        return Ok(Cow::Borrowed(text));
    }
    stable(Part::Resource, text, lenient_resource)
}

pub(super) fn resource_strict(text: &str) -> Prepared<'_> {
    check_length(Part::Resource, text)?;
    stable(Part::Resource, text, |s| {
        OpaqueString::new().enforce(s).map_err(|e| refused(Part::Resource, &e))
    })
}

pub(super) fn domain(text: &str) -> Prepared<'_> {
    let text = text.strip_suffix('.').unwrap_or(text);
    check_length(Part::Domain, text)?;
    if is_ascii_domain(text) {
        return Ok(lower_ascii(text));
    }
    if let Some(literal) = text.strip_prefix('[') {
        return ipv6(literal);
    }
    stable(Part::Domain, text, |s| {
        unicode_domain(s).or_else(|refusal| match stringprep::nameprep(s) {
            Ok(mapped) => unicode_domain(&mapped).map(owned),
            Err(_) => Err(refusal),
        })
    })
}

/// The form of a domain with A-labels, as DNS and certificates hold it; other text unchanged.
#[must_use]
pub fn domain_to_ascii(domain: &str) -> Cow<'_, str> {
    if domain.is_ascii() {
        return Cow::Borrowed(domain);
    }
    Uts46::new()
        .to_ascii(domain.as_bytes(), AsciiDenyList::URL, Hyphens::Allow, DnsLength::Ignore)
        .unwrap_or(Cow::Borrowed(domain))
}

pub(super) fn is_ascii_local(text: &str) -> bool {
    (1..=MAX_PART_BYTES).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_graphic() && !is_excluded(char::from(b)))
}

pub(super) fn is_ascii_resource(text: &str) -> bool {
    (1..=MAX_PART_BYTES).contains(&text.len()) && text.bytes().all(|b| matches!(b, b' '..=b'~'))
}

/// Letters, digits, hyphens, and underscores, which no standard allows but container networks use.
pub(super) fn is_ascii_domain(text: &str) -> bool {
    text.len() <= MAX_PART_BYTES
        && text.split('.').all(|label| {
            (1..=MAX_LABEL_BYTES).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
                && !is_a_label(label)
        })
}

fn is_a_label(label: &str) -> bool {
    label.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("xn--"))
}

fn lower_ascii(text: &str) -> Cow<'_, str> {
    match text.bytes().any(|b| b.is_ascii_uppercase()) {
        true => Cow::Owned(text.to_ascii_lowercase()),
        false => Cow::Borrowed(text),
    }
}

fn check_length(part: Part, text: &str) -> Result<(), JidError> {
    match text.len() {
        0 => Err(JidError::Empty(part)),
        1..=MAX_PART_BYTES => Ok(()),
        _ => Err(JidError::TooLong(part)),
    }
}

/// Applies `rule` until nothing changes (RFC 8264 §7 bounds that at four rounds):
/// two spellings of one address must never end up as two addresses.
fn stable<'a>(
    part: Part,
    text: &'a str,
    rule: impl Fn(&str) -> Result<Cow<'_, str>, JidError>,
) -> Prepared<'a> {
    let mut current = Cow::Borrowed(text);
    for _ in 0..4 {
        let next = rule(&current)?.into_owned();
        check_length(part, &next)?;
        if next == *current {
            return Ok(current);
        }
        current = Cow::Owned(next);
    }
    Err(JidError::Malformed(part))
}

fn lenient_local(text: &str) -> Prepared<'_> {
    let precis = || {
        let profile = UsernameCaseMapped::new();
        let name = profile.width_mapping_rule(text)?;
        Identifiers.allows(&name)?;
        let name = profile.case_mapping_rule(name)?;
        let name = profile.normalization_rule(name)?;
        profile.directionality_rule(name)
    };
    match precis() {
        Ok(name) => without_excluded(name),
        Err(e) => nodeprep(text).map_err(|_| refused(Part::Local, &e)),
    }
}

fn lenient_resource(text: &str) -> Prepared<'_> {
    opaque(text).or_else(|e| {
        resourceprep(text).or_else(|_| {
            // Joined emoji: RFC 3454 table B.1 drops the joiners, yet its
            // Unicode 3.2 does not know the emoji that are left.
            let bare: String =
                text.chars().filter(|&c| !tables::commonly_mapped_to_nothing(c)).collect();
            opaque(&bare).map(owned).map_err(|_| refused(Part::Resource, &e))
        })
    })
}

fn opaque(text: &str) -> Result<Cow<'_, str>, PrecisError> {
    let profile = OpaqueString::new();
    Freeform.allows(text)?;
    let name = profile.additional_mapping_rule(text)?;
    profile.normalization_rule(name)
}

fn unicode_domain(text: &str) -> Prepared<'_> {
    let malformed = JidError::Malformed(Part::Domain);
    let uts46 = Uts46::new();
    let (name, valid) =
        uts46.to_unicode(text.as_bytes(), AsciiDenyList::URL, Hyphens::CheckFirstLast);
    valid.map_err(|_| malformed)?;
    // U+3002 and its like are dots too.
    let name = match name.strip_suffix('.') {
        Some(stripped) => Cow::Owned(stripped.to_owned()),
        None => name,
    };
    let ascii = uts46
        .to_ascii(name.as_bytes(), AsciiDenyList::URL, Hyphens::CheckFirstLast, DnsLength::Ignore)
        .map_err(|_| malformed)?;
    let sound = |label: &str| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    match ascii.split('.').all(sound) {
        true => Ok(name),
        false => Err(malformed),
    }
}

fn ipv6(literal: &str) -> Prepared<'static> {
    literal
        .strip_suffix(']')
        .and_then(|address| address.parse::<Ipv6Addr>().ok())
        .map(|address| Cow::Owned(format!("[{address}]")))
        .ok_or(JidError::Malformed(Part::Domain))
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

/// RFC 7622 §3.3.1.
fn is_excluded(c: char) -> bool {
    matches!(c, '"' | '&' | '\'' | '/' | ':' | '<' | '>' | '@')
}

fn without_excluded(name: Cow<'_, str>) -> Prepared<'_> {
    match name.chars().find(|&c| is_excluded(c)) {
        Some(c) => Err(JidError::Character(Part::Local, c)),
        None => Ok(name),
    }
}

fn refused(part: Part, error: &PrecisError) -> JidError {
    match error {
        PrecisError::BadCodepoint(info) => char::from_u32(info.cp)
            .map_or(JidError::Malformed(part), |c| JidError::Character(part, c)),
        PrecisError::Invalid | PrecisError::Unexpected(_) => JidError::Malformed(part),
    }
}

/// The PRECIS classes, with code points assigned after Unicode 6.3 (where the
/// IANA tables end) derived from today's properties as RFC 8264 §8 says.
/// Without that no Adlam name and no emoji younger than 2013 would pass.
struct Identifiers;
struct Freeform;

impl StringClass for Identifiers {
    fn get_value_from_char(&self, c: char) -> DerivedPropertyValue {
        match IdentifierClass::default().get_value_from_char(c) {
            DerivedPropertyValue::Unassigned => derive(c, DerivedPropertyValue::SpecClassDis),
            known => known,
        }
    }

    fn get_value_from_codepoint(&self, cp: u32) -> DerivedPropertyValue {
        char::from_u32(cp).map_or(DerivedPropertyValue::Disallowed, |c| self.get_value_from_char(c))
    }
}

impl StringClass for Freeform {
    fn get_value_from_char(&self, c: char) -> DerivedPropertyValue {
        match FreeformClass::default().get_value_from_char(c) {
            DerivedPropertyValue::Unassigned => derive(c, DerivedPropertyValue::SpecClassPval),
            known => known,
        }
    }

    fn get_value_from_codepoint(&self, cp: u32) -> DerivedPropertyValue {
        char::from_u32(cp).map_or(DerivedPropertyValue::Disallowed, |c| self.get_value_from_char(c))
    }
}

fn derive(c: char, by_class: DerivedPropertyValue) -> DerivedPropertyValue {
    // The only default-ignorable mark among the newer code points.
    if c == '\u{180F}' {
        return DerivedPropertyValue::Disallowed;
    }
    match c.general_category() {
        Gc::Unassigned => DerivedPropertyValue::Unassigned,
        Gc::Control
        | Gc::Format
        | Gc::Surrogate
        | Gc::PrivateUse
        | Gc::LineSeparator
        | Gc::ParagraphSeparator => DerivedPropertyValue::Disallowed,
        _ if !std::iter::once(c).nfkc().eq([c]) => by_class,
        Gc::LowercaseLetter
        | Gc::UppercaseLetter
        | Gc::OtherLetter
        | Gc::ModifierLetter
        | Gc::DecimalNumber
        | Gc::NonspacingMark
        | Gc::SpacingMark => DerivedPropertyValue::PValid,
        _ => by_class,
    }
}
