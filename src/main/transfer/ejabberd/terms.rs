//! Reads Erlang terms as `io:format("~p.")` writes them. Nothing is executed, and nothing becomes an atom of
//! ours: atoms are text.

use crate::transfer::syntax::{Cursor, SyntaxError};

/// Terms within each other: an element of a stanza is two.
const MAX_DEPTH: usize = 200;

#[derive(Clone, Debug, PartialEq)]
pub enum Term {
    Atom(String),
    Integer(i64),
    Float(f64),
    Binary(Vec<u8>),
    Tuple(Vec<Term>),
    /// Texts in double quotes are lists of characters.
    List(Vec<Term>),
    Map(Vec<(Term, Term)>),
    /// A process, a function and the like, which mean nothing elsewhere; also numbers beyond 64 bits.
    Opaque,
}

impl Term {
    pub fn atom(&self) -> Option<&str> {
        match self {
            Term::Atom(name) => Some(name),
            _ => None,
        }
    }

    pub fn integer(&self) -> Option<i64> {
        match self {
            Term::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// Text in a binary.
    pub fn text(&self) -> Option<&str> {
        match self {
            Term::Binary(bytes) => str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    pub fn tuple(&self) -> Option<&[Term]> {
        match self {
            Term::Tuple(terms) => Some(terms),
            _ => None,
        }
    }

    pub fn list(&self) -> Option<&[Term]> {
        match self {
            Term::List(terms) => Some(terms),
            _ => None,
        }
    }

    /// `true` and `false` are atoms.
    pub fn boolean(&self) -> Option<bool> {
        match self.atom()? {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }
}

/// Reads one term; a full stop may follow.
pub fn parse(text: &[u8]) -> Result<Term, SyntaxError> {
    let mut parser = Parser(Cursor::new(text));
    let term = parser.term(0)?;
    parser.skip(b".");
    parser.space();
    match parser.0.is_at_end() {
        true => Ok(term),
        false => Err(parser.0.error("something follows the term")),
    }
}

struct Parser<'a>(Cursor<'a>);

/// A text in both its meanings, as a file does not say its encoding: what is not ASCII stands as it is, either
/// each byte for itself or as UTF-8.
#[derive(Default)]
struct Quoted {
    bytes: Vec<u8>,
    utf8: Vec<u8>,
    /// There are characters that no byte can be.
    has_wide: bool,
}

impl Quoted {
    fn push(&mut self, char: char) {
        match u8::try_from(u32::from(char)) {
            Ok(byte) => self.bytes.push(byte),
            Err(_) => self.has_wide = true,
        }
        self.utf8.extend(char.to_string().into_bytes());
    }
}

impl Parser<'_> {
    fn term(&mut self, depth: usize) -> Result<Term, SyntaxError> {
        if depth > MAX_DEPTH {
            return Err(self.0.error("too many terms within each other"));
        }
        self.space();
        if self.skip(b"<<") {
            return self.binary();
        }
        if self.skip(b"#{") {
            return self.map(depth);
        }
        match self.0.peek() {
            Some(b'{') => Ok(Term::Tuple(self.sequence(b"}", depth)?)),
            Some(b'[') => Ok(Term::List(self.sequence(b"]", depth)?)),
            Some(b'"') => {
                let text = String::from_utf8_lossy(&self.quoted(b'"')?.utf8).into_owned();
                let chars = text.chars().map(|char| Term::Integer(u32::from(char).into()));
                Ok(Term::List(chars.collect()))
            }
            Some(b'\'') => {
                let name = self.quoted(b'\'')?.utf8;
                Ok(Term::Atom(String::from_utf8_lossy(&name).into_owned()))
            }
            Some(b'a'..=b'z') => Ok(Term::Atom(self.word())),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'#' | b'<') => self.opaque(),
            _ => Err(self.0.error("expected a term")),
        }
    }

    /// What stands between brackets, the first of which is next.
    fn sequence(&mut self, end: &[u8], depth: usize) -> Result<Vec<Term>, SyntaxError> {
        self.0.at += 1;
        let mut terms = Vec::new();
        if self.skip(end) {
            return Ok(terms);
        }
        loop {
            terms.push(self.term(depth + 1)?);
            // The tail of a list that does not end in an empty one.
            if self.skip(b"|") {
                terms.push(self.term(depth + 1)?);
            }
            if self.skip(end) {
                return Ok(terms);
            }
            if !self.skip(b",") {
                return Err(self.0.error("expected a comma or the end"));
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Term, SyntaxError> {
        let mut entries = Vec::new();
        if self.skip(b"}") {
            return Ok(Term::Map(entries));
        }
        loop {
            let key = self.term(depth + 1)?;
            if !self.skip(b"=>") {
                return Err(self.0.error("expected `=>`"));
            }
            entries.push((key, self.term(depth + 1)?));
            if self.skip(b"}") {
                return Ok(Term::Map(entries));
            }
            if !self.skip(b",") {
                return Err(self.0.error("expected a comma or the end"));
            }
        }
    }

    /// After `<<`: texts or bytes, long ones in several parts.
    fn binary(&mut self) -> Result<Term, SyntaxError> {
        let mut bytes = Vec::new();
        while !self.skip(b">>") {
            match self.0.peek() {
                Some(b'"') => self.binary_text(&mut bytes)?,
                Some(b'0'..=b'9') => {
                    let number = self.number()?;
                    let byte = number.integer().and_then(|number| u8::try_from(number).ok());
                    bytes.push(byte.ok_or_else(|| self.0.error("not a byte"))?);
                }
                _ => return Err(self.0.error("expected bytes")),
            }
            self.skip(b",");
        }
        Ok(Term::Binary(bytes))
    }

    fn binary_text(&mut self, bytes: &mut Vec<u8>) -> Result<(), SyntaxError> {
        let mut text = Quoted::default();
        while self.0.peek() == Some(b'"') {
            let part = self.quoted(b'"')?;
            text.utf8.extend(part.utf8);
            text.bytes.extend(part.bytes);
            text.has_wide |= part.has_wide;
            self.space();
        }
        match (self.skip(b"/utf8"), text.has_wide) {
            (true, _) => bytes.extend(text.utf8),
            (false, false) => bytes.extend(text.bytes),
            (false, true) => return Err(self.0.error("not a byte")),
        }
        Ok(())
    }

    /// A text, whose quote is next.
    fn quoted(&mut self, quote: u8) -> Result<Quoted, SyntaxError> {
        self.0.at += 1;
        let mut text = Quoted::default();
        loop {
            match self.0.peek() {
                None => return Err(self.0.error("a text does not end")),
                Some(byte) if byte == quote => {
                    self.0.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    let char = self.escape()?;
                    text.push(char);
                }
                Some(byte) => {
                    self.0.at += 1;
                    text.bytes.push(byte);
                    text.utf8.push(byte);
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, SyntaxError> {
        self.0.at += 1;
        let Some(byte) = self.0.take() else { return Err(self.0.error("a text does not end")) };
        let code = match byte {
            b'b' => 8,
            b'd' => 127,
            b'e' => 27,
            b'f' => 12,
            b'n' => 10,
            b'r' => 13,
            b's' => 32,
            b't' => 9,
            b'v' => 11,
            b'x' if self.skip_now(b'{') => {
                let digits = self.0.take_while(|byte| byte.is_ascii_hexdigit());
                let number = parsed(digits, 16).ok_or_else(|| self.0.error("not a character"))?;
                if !self.skip_now(b'}') {
                    return Err(self.0.error("expected `}`"));
                }
                number
            }
            b'0'..=b'7' => {
                self.0.at -= 1;
                let rest = self.0.rest();
                let is_octal = |byte: &&u8| matches!(**byte, b'0'..=b'7');
                let length = rest.iter().take(3).take_while(is_octal).count();
                self.0.at += length;
                parsed(&rest[..length], 8).ok_or_else(|| self.0.error("not a character"))?
            }
            other => other.into(),
        };
        char::from_u32(code).ok_or_else(|| self.0.error("not a character"))
    }

    fn number(&mut self) -> Result<Term, SyntaxError> {
        let start = self.0.at;
        let part = |byte: u8| byte.is_ascii_digit() || b"-+.e".contains(&byte);
        let mut digits = self.0.take_while(part);
        // The full stop that ends the term.
        if let [number @ .., b'.'] = digits {
            digits = number;
            self.0.at -= 1;
        }
        let digits = str::from_utf8(digits).unwrap_or_default();
        let is_whole = digits.bytes().skip(1).all(|byte| byte.is_ascii_digit());
        let number = match digits.parse::<i64>() {
            Ok(number) => Some(Term::Integer(number)),
            Err(_) if is_whole && digits.len() > 18 => Some(Term::Opaque),
            Err(_) => digits.parse().ok().filter(|float: &f64| float.is_finite()).map(Term::Float),
        };
        number.ok_or_else(|| {
            self.0.at = start;
            self.0.error("not a number")
        })
    }

    /// Such as `<0.123.0>`, `#Ref<…>` and `#Fun<…>`.
    fn opaque(&mut self) -> Result<Term, SyntaxError> {
        self.0.take_while(|byte| byte == b'#' || byte.is_ascii_alphabetic());
        if !self.skip_now(b'<') {
            return Err(self.0.error("expected a term"));
        }
        self.0.take_while(|byte| byte != b'>' && byte != b'\n');
        match self.skip_now(b'>') {
            true => Ok(Term::Opaque),
            false => Err(self.0.error("expected `>`")),
        }
    }

    fn word(&mut self) -> String {
        let word = self.0.take_while(|byte| byte.is_ascii_alphanumeric() || b"_@".contains(&byte));
        String::from_utf8_lossy(word).into_owned()
    }

    /// Skips white space and comments.
    fn space(&mut self) {
        loop {
            self.0.take_while(|byte| byte.is_ascii_whitespace());
            if self.0.peek() != Some(b'%') {
                return;
            }
            self.0.take_while(|byte| byte != b'\n');
        }
    }

    fn skip(&mut self, token: &[u8]) -> bool {
        self.space();
        let found = self.0.rest().starts_with(token);
        self.0.at += if found { token.len() } else { 0 };
        found
    }

    fn skip_now(&mut self, byte: u8) -> bool {
        let found = self.0.peek() == Some(byte);
        self.0.at += usize::from(found);
        found
    }
}

fn parsed(digits: &[u8], radix: u32) -> Option<u32> {
    u32::from_str_radix(str::from_utf8(digits).ok()?, radix).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Term, SyntaxError> {
        parse(text.as_bytes())
    }

    fn binary(text: &str) -> Term {
        Term::Binary(text.as_bytes().to_vec())
    }

    #[test]
    fn terms_are_read_as_erlang_writes_them() {
        for (text, expected) in [
            ("abc_1.", Term::Atom("abc_1".to_owned())),
            ("'A b'", Term::Atom("A b".to_owned())),
            ("-17.", Term::Integer(-17)),
            ("1.5e3.", Term::Float(1500.0)),
            ("123456789012345678901234567890.", Term::Opaque),
            ("<<>>", binary("")),
            ("<<\"a\\\"b\\n\">>", binary("a\"b\n")),
            ("<<\"long \"\n  \"text\">>", binary("long text")),
            ("<<\"ü\"/utf8>>", binary("ü")),
            ("<<195,188>>", binary("ü")),
            ("<<\"ü\">>", binary("ü")),
            ("<<\"\\x{fc}\"/utf8>>", binary("ü")),
            ("[]", Term::List(vec![])),
            ("\"a\"", Term::List(vec![Term::Integer(97)])),
            ("[a|b]", Term::List(vec![Term::Atom("a".into()), Term::Atom("b".into())])),
            ("{}", Term::Tuple(vec![])),
            ("#{a => 1}", Term::Map(vec![(Term::Atom("a".into()), Term::Integer(1))])),
            ("#Ref<0.1.2>", Term::Opaque),
            ("<0.1.2>.", Term::Opaque),
        ] {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
        let record = read("{passwd,{<<\"a\">>,<<\"b\">>},\n        <<\"c\">>}.\n").unwrap();
        assert_eq!(record.tuple().unwrap()[1].tuple().unwrap()[0].text(), Some("a"));
    }

    #[test]
    fn nothing_else_is_understood() {
        for text in [
            "",
            ".",
            "X",
            "a b",
            "{a",
            "{a,}",
            "[a,,b]",
            "<<256>>",
            "<<\"a>>",
            "#{a}",
            "#Fun<",
            "1 + 1",
            "f()",
            "<<\"ü\">> x",
            "'a",
            "\"\\x{110000000}\"",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth| format!("{}{}", "{".repeat(depth), "}".repeat(depth));
        assert!(read(&nested(MAX_DEPTH)).is_ok());
        assert!(read(&nested(MAX_DEPTH + 2)).is_err());
        assert!(read(&nested(1_000_000)).is_err());
    }

    fn written(term: &Term) -> String {
        let all = |terms: &[Term]| terms.iter().map(written).collect::<Vec<_>>().join(",\n ");
        match term {
            Term::Atom(name) => format!("'{}'", name.replace('\\', "\\\\").replace('\'', "\\'")),
            Term::Integer(number) => number.to_string(),
            Term::Float(float) => format!("{float:?}"),
            Term::Binary(bytes) => {
                let bytes: Vec<_> = bytes.iter().map(u8::to_string).collect();
                format!("<<{}>>", bytes.join(","))
            }
            Term::Tuple(terms) => format!("{{{}}}", all(terms)),
            Term::List(terms) => format!("[{}]", all(terms)),
            Term::Map(entries) => {
                let entry =
                    |(key, value): &(Term, Term)| format!("{}=>{}", written(key), written(value));
                format!("#{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(","))
            }
            Term::Opaque => "#Ref<0.0.0>".to_owned(),
        }
    }

    fn term() -> impl Strategy<Value = Term> {
        let leaf = prop_oneof![
            any::<String>().prop_map(Term::Atom),
            any::<i64>().prop_map(Term::Integer),
            any::<i32>().prop_map(|number| Term::Float(f64::from(number) / 8.0)),
            any::<Vec<u8>>().prop_map(Term::Binary),
            Just(Term::Opaque),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let terms = proptest::collection::vec(inner.clone(), 0..4);
            prop_oneof![
                terms.clone().prop_map(Term::Tuple),
                terms.prop_map(Term::List),
                proptest::collection::vec((inner.clone(), inner), 0..3).prop_map(Term::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(term in term()) {
            prop_assert_eq!(read(&format!("{}.\n", written(&term))), Ok(term));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn any_tokens_are_read_or_refused(
            tokens in proptest::collection::vec(
                prop_oneof![
                    Just("{"), Just("}"), Just("["), Just("]"), Just("<<"), Just(">>"), Just(","),
                    Just("\""), Just("\\"), Just("1"), Just("-"), Just("a"), Just("#{"), Just("=>"),
                    Just("|"), Just("."), Just("/utf8"), Just("%"), Just("\n"), Just("ü"), Just("'"),
                ],
                0..40,
            )
        ) {
            let _ = read(&tokens.concat());
        }
    }
}
