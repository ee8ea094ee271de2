use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn jid(text: &str) -> Jid {
    text.parse().unwrap_or_else(|e| panic!("{text:?} refused: {e}"))
}

fn refusal(text: &str) -> JidError {
    text.parse::<Jid>().expect_err(text)
}

/// RFC 7622 §3.5 table 1: text, local, domain, resource.
#[test]
fn rfc7622_valid() {
    let table = [
        ("juliet@example.com", Some("juliet"), "example.com", None),
        ("juliet@example.com/foo", Some("juliet"), "example.com", Some("foo")),
        ("juliet@example.com/foo bar", Some("juliet"), "example.com", Some("foo bar")),
        ("juliet@example.com/foo@bar", Some("juliet"), "example.com", Some("foo@bar")),
        ("foo\\20bar@example.com", Some("foo\\20bar"), "example.com", None),
        ("fussball@example.com", Some("fussball"), "example.com", None),
        ("fu\u{DF}ball@example.com", Some("fu\u{DF}ball"), "example.com", None),
        ("\u{3C0}@example.com", Some("\u{3C0}"), "example.com", None),
        ("\u{3A3}@example.com/foo", Some("\u{3C3}"), "example.com", Some("foo")),
        ("\u{3C3}@example.com/foo", Some("\u{3C3}"), "example.com", Some("foo")),
        ("\u{3C2}@example.com/foo", Some("\u{3C2}"), "example.com", Some("foo")),
        ("king@example.com/\u{265A}", Some("king"), "example.com", Some("\u{265A}")),
        ("example.com", None, "example.com", None),
        ("example.com/foobar", None, "example.com", Some("foobar")),
        ("a.example.com/b@example.net", None, "a.example.com", Some("b@example.net")),
    ];
    for (text, local, domain, resource) in table {
        for parsed in [jid(text), Jid::parse_strict(text).unwrap()] {
            assert_eq!(parsed.local(), local, "{text}");
            assert_eq!(parsed.domain(), domain, "{text}");
            assert_eq!(parsed.resource(), resource, "{text}");
        }
    }
}

/// RFC 7622 §3.5 table 2, but for the leading space in a resourcepart (row 18):
/// the OpaqueString profile that §3.4 names allows it.
#[test]
fn rfc7622_invalid() {
    let table = [
        ("\"juliet\"@example.com", JidError::Character(Part::Local, '"')),
        ("foo bar@example.com", JidError::Character(Part::Local, ' ')),
        ("@example.com/", JidError::Empty(Part::Local)),
        ("henry\u{2163}@example.com", JidError::Character(Part::Local, '\u{2163}')),
        ("\u{265A}@example.com", JidError::Character(Part::Local, '\u{265A}')),
        ("juliet@", JidError::Empty(Part::Domain)),
        ("/foobar", JidError::Empty(Part::Domain)),
    ];
    for (text, error) in table {
        assert_eq!(Jid::parse_strict(text), Err(error), "{text}");
    }
    assert_eq!(jid("juliet@example.com/ foo").resource(), Some(" foo"));
}

/// Rows 20 and 21 are addresses by RFC 6122, whose result is taken.
#[test]
fn stringprep_where_precis_refuses() {
    assert_eq!(jid("henry\u{2163}@example.com").local(), Some("henryiv"));
    assert_eq!(jid("\u{265A}@example.com").local(), Some("\u{265A}"));
    assert_eq!(jid("a@b/\u{2764}\u{FE0F}").resource(), Some("\u{2764}"));
    for text in
        ["\"juliet\"@example.com", "foo bar@example.com", "@example.com/", "juliet@", "/foobar"]
    {
        refusal(text);
    }
}

#[test]
fn newer_unicode() {
    assert_eq!(jid("room@muc.b/Anna \u{1F916}").resource(), Some("Anna \u{1F916}"));
    let coder = "\u{1F469}\u{200D}\u{1F4BB}";
    assert_eq!(jid(&format!("room@b/{coder}")).resource(), Some("\u{1F469}\u{1F4BB}"));
    // Adlam (Unicode 9): capital and small letter are one name.
    assert_eq!(jid("\u{1E900}@b"), jid("\u{1E922}@b"));
    refusal("a@b/\u{180F}x");
    // Assigned in no version so far.
    refusal("a@b/\u{378}");
    refusal("\u{378}@b");
}

#[test]
fn separators_never_appear_by_normalising() {
    for text in ["a\u{FF20}b@c", "a\u{FF0F}b@c", "a@b\u{FF0F}c", "a@b\u{FF20}c", "a@b\u{FF1A}c"] {
        refusal(text);
    }
}

#[test]
fn domains() {
    assert_eq!(jid("EXAMPLE.com.").as_str(), "example.com");
    assert_eq!(jid("a@xn--mnchen-3ya.de").domain(), "m\u{FC}nchen.de");
    assert_eq!(jid("a@XN--MNCHEN-3YA.de"), jid("a@M\u{DC}NCHEN.DE"));
    assert_eq!(domain_to_ascii("m\u{FC}nchen.de"), "xn--mnchen-3ya.de");
    assert_eq!(domain_to_ascii("example.com"), "example.com");
    assert_eq!(jid("a@m\u{FC}nchen\u{3002}de\u{3002}").domain(), "m\u{FC}nchen.de");
    assert_eq!(jid("a@127.0.0.1").domain(), "127.0.0.1");
    assert_eq!(jid("a@[0:0::1]/x").domain(), "[::1]");
    assert_eq!(jid("my_host").domain(), "my_host");
    assert_eq!(jid("[::1].").domain(), "[::1]");
    for text in [
        "a..b",
        ".",
        ".a",
        "a@[::1",
        "a@[fe80::1%eth0]",
        "-a.b",
        "a-.b",
        "a b",
        "a:5222",
        "xn--\u{FC}",
        "xn--a",
    ] {
        assert_eq!(Part::Domain, part_of(refusal(text)), "{text}");
    }
    refusal(&"a".repeat(64));
}

fn part_of(error: JidError) -> Part {
    match error {
        JidError::Empty(p) | JidError::TooLong(p) | JidError::Malformed(p) => p,
        JidError::Character(p, _) => p,
        JidError::UnexpectedResource | JidError::MissingResource => Part::Resource,
    }
}

#[test]
fn lengths() {
    let longest = "a".repeat(MAX_PART_BYTES);
    let domain = format!("{}a", "a.".repeat(511));
    let full = jid(&format!("{longest}@{domain}/{longest}"));
    assert_eq!(full.resource(), Some(&*longest));
    assert_eq!(full.bare().local(), Some(&*longest));
    for (text, part) in [
        (format!("{longest}a@b"), Part::Local),
        (format!("a@{domain}.b"), Part::Domain),
        (format!("a@b/{longest}a"), Part::Resource),
        (format!("{}@b", "\u{3C0}".repeat(512)), Part::Local),
    ] {
        assert_eq!(refusal(&text), JidError::TooLong(part));
    }
    // Grows from 2 to 3 octets each by lower-casing.
    assert_eq!(refusal(&format!("{}@b", "\u{23A}".repeat(400))), JidError::TooLong(Part::Local));
}

#[test]
fn empty_parts() {
    assert_eq!(refusal(""), JidError::Empty(Part::Domain));
    assert_eq!(refusal("a@b/"), JidError::Empty(Part::Resource));
    assert_eq!(refusal("@b"), JidError::Empty(Part::Local));
    // The soft hyphen is mapped to nothing.
    assert_eq!(refusal("a@b/\u{AD}"), JidError::Empty(Part::Resource));
}

#[test]
fn only_the_resource_keeps_its_case() {
    assert_eq!(jid("Juliet@Example.COM/Balcony").as_str(), "juliet@example.com/Balcony");
}

#[test]
fn conversions() {
    let full: FullJid = "a@b/c".parse().unwrap();
    assert_eq!(full.resource(), "c");
    assert_eq!(full.bare().as_str(), "a@b");
    assert_eq!(full.bare_str(), "a@b");
    assert_eq!(full.domain_jid().as_str(), "b");
    assert_eq!(full.bare().with_resource("d").unwrap().as_str(), "a@b/d");
    assert_eq!(full.with_resource("d").unwrap().as_str(), "a@b/d");
    assert_eq!(BareJid::try_from(Jid::from(full.clone())), Err(JidError::UnexpectedResource));
    assert_eq!("a@b".parse::<FullJid>(), Err(JidError::MissingResource));
    assert_eq!(FullJid::from_parts(Some("A"), "B", "c").unwrap(), full);
    assert_eq!(BareJid::from_parts(None, "B").unwrap(), jid("b"));
    assert!(jid("b").is_domain() && !jid("a@b").is_domain() && !jid("b/r").is_domain());
}

#[test]
fn looked_up_by_text() {
    let sessions = HashMap::from([("a@b".parse::<BareJid>().unwrap(), 1)]);
    assert_eq!(sessions.get(jid("a@b/c").bare_str()), Some(&1));
}

fn text() -> impl Strategy<Value = String> {
    let char = prop_oneof![
        4 => proptest::char::range(' ', '~'),
        2 => prop_oneof![Just('@'), Just('/'), Just('.'), Just('[')],
        2 => proptest::char::range('\u{80}', '\u{5FF}'),
        1 => proptest::char::range('\u{FE00}', '\u{FFFF}'),
        1 => any::<char>(),
    ];
    proptest::collection::vec(char, 0..12).prop_map(String::from_iter)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn normalising_is_idempotent(text in text()) {
        if let Ok(parsed) = text.parse::<Jid>() {
            let again: Jid = parsed.to_string().parse().expect("own output is accepted");
            prop_assert_eq!(parsed.as_str(), again.as_str());
            prop_assert_eq!(parsed.local(), again.local());
            prop_assert_eq!(parsed.domain(), again.domain());
            prop_assert_eq!(parsed.resource(), again.resource());
        }
    }

    #[test]
    fn parts_survive(local in text(), domain in "[a-z]{1,5}(\\.[a-z]{1,5}){0,2}", resource in text()) {
        if let Ok(built) = Jid::from_parts(Some(&local), &domain, Some(&resource)) {
            let parsed: Jid = built.as_str().parse().expect("own output is accepted");
            prop_assert_eq!(built.local(), parsed.local());
            prop_assert_eq!(built.domain(), parsed.domain());
            prop_assert_eq!(built.resource(), parsed.resource());
        }
    }

    #[test]
    fn strict_is_a_subset(text in text()) {
        if let Ok(strict) = Jid::parse_strict(&text) {
            prop_assert_eq!(text.parse::<Jid>(), Ok(strict));
        }
    }
}
