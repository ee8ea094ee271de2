//! Reads tables as Lua programs write them down. Nothing is executed: only literals are known.

use std::io::BufRead;

use super::super::syntax::{Cursor, PieceError, Pieces, SyntaxError};

/// Tables within each other; stanzas of a server with usual limits stay far below.
const MAX_DEPTH: usize = 200;

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Nil,
    Boolean(bool),
    Number(f64),
    /// Bytes in Lua, text wherever Prosody means text.
    Text(String),
    Table(Table),
}

/// Entries in their order; those without a key are numbered from 1, as in Lua.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table(pub Vec<(Value, Value)>);

impl Value {
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn table(&self) -> Option<&Table> {
        match self {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }
}

impl Table {
    pub fn get(&self, name: &str) -> Option<&Value> {
        // The last one wins, as in Lua.
        let found = self.0.iter().rev().find(|(key, _)| key.text() == Some(name));
        found.map(|(_, value)| value)
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.text()
    }

    pub fn number(&self, name: &str) -> Option<f64> {
        self.get(name)?.number()
    }

    /// The part with text as keys.
    pub fn named(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().filter_map(|(key, value)| Some((key.text()?, value)))
    }

    /// The part with numbers as keys, in the order of the file.
    pub fn list(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(|(key, _)| key.number().is_some()).map(|(_, value)| value)
    }

    /// What is kept under `false`, where Prosody keeps what belongs to the whole table.
    pub fn about(&self) -> Option<&Table> {
        let found = self.0.iter().find(|(key, _)| *key == Value::Boolean(false));
        found.and_then(|(_, value)| value.table())
    }
}

/// Reads `return VALUE;`.
pub fn parse_return(text: &[u8]) -> Result<Value, SyntaxError> {
    let mut parser = Parser(Cursor::new(text));
    if !parser.word("return") {
        return Err(parser.0.error("expected `return`"));
    }
    let value = parser.value(0)?;
    parser.end()?;
    Ok(value)
}

/// Reads `item(VALUE);` again and again.
pub struct Items<R>(Pieces<R>);

impl<R: BufRead> Items<R> {
    pub fn new(reader: R) -> Items<R> {
        // What is within an item is indented.
        Items(Pieces::new(reader, |line| line.ends_with(b")") || line.ends_with(b");")))
    }
}

impl<R: BufRead> Iterator for Items<R> {
    type Item = Result<Value, PieceError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next(parse_item)
    }
}

fn parse_item(text: &[u8]) -> Result<Value, SyntaxError> {
    let mut parser = Parser(Cursor::new(text));
    if !parser.word("item") || !parser.skip(b'(') {
        return Err(parser.0.error("expected `item(`"));
    }
    let value = parser.value(0)?;
    if !parser.skip(b')') {
        return Err(parser.0.error("expected `)`"));
    }
    parser.end()?;
    Ok(value)
}

struct Parser<'a>(Cursor<'a>);

impl Parser<'_> {
    /// Nothing but a semicolon may follow.
    fn end(&mut self) -> Result<(), SyntaxError> {
        self.skip(b';');
        self.space();
        match self.0.is_at_end() {
            true => Ok(()),
            false => Err(self.0.error("something follows the value")),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        self.space();
        match self.0.peek() {
            Some(b'{') => Ok(Value::Table(self.table(depth)?)),
            Some(quote @ (b'"' | b'\'')) => Ok(Value::Text(self.text(quote)?)),
            Some(b'-' | b'0'..=b'9' | b'.') => self.number(),
            _ if self.word("nil") => Ok(Value::Nil),
            _ if self.word("true") => Ok(Value::Boolean(true)),
            _ if self.word("false") => Ok(Value::Boolean(false)),
            _ => Err(self.0.error("expected a value")),
        }
    }

    fn table(&mut self, depth: usize) -> Result<Table, SyntaxError> {
        if depth >= MAX_DEPTH {
            return Err(self.0.error("too many tables within each other"));
        }
        self.0.at += 1;
        let mut entries = Vec::new();
        let mut number = 0.0;
        while !self.skip(b'}') {
            let key = self.key(depth)?;
            let value = self.value(depth + 1)?;
            let key = key.unwrap_or_else(|| {
                number += 1.0;
                Value::Number(number)
            });
            entries.push((key, value));
            if !self.skip(b',') && !self.skip(b';') && self.0.peek() != Some(b'}') {
                return Err(self.0.error("expected `,`, `;` or `}`"));
            }
        }
        Ok(Table(entries))
    }

    /// The key of an entry, up to its `=`; none for an entry without one.
    fn key(&mut self, depth: usize) -> Result<Option<Value>, SyntaxError> {
        self.space();
        if self.skip(b'[') {
            let key = self.value(depth + 1)?;
            if !self.skip(b']') || !self.skip(b'=') {
                return Err(self.0.error("expected `] =`"));
            }
            return Ok(Some(key));
        }
        let start = self.0.at;
        let name = self.0.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !name.is_empty() && self.skip(b'=') {
            // Its bytes are ASCII.
            return Ok(Some(Value::Text(String::from_utf8_lossy(name).into_owned())));
        }
        self.0.at = start;
        Ok(None)
    }

    fn number(&mut self) -> Result<Value, SyntaxError> {
        let start = self.0.at;
        let part = |byte: u8| byte.is_ascii_alphanumeric() || b".+-".contains(&byte);
        let number = str::from_utf8(self.0.take_while(part)).ok();
        let number = number.and_then(|digits| match digits.strip_prefix("0x") {
            Some(hex) => u32::from_str_radix(hex, 16).ok().map(f64::from),
            None => digits.parse::<f64>().ok().filter(|number| number.is_finite()),
        });
        number.map(Value::Number).ok_or_else(|| {
            self.0.at = start;
            self.0.error("not a number")
        })
    }

    fn text(&mut self, quote: u8) -> Result<String, SyntaxError> {
        self.0.at += 1;
        let mut bytes = Vec::new();
        loop {
            let Some(byte) = self.0.take() else { return Err(self.0.error("a text does not end")) };
            match byte {
                b'\\' => self.escape(&mut bytes)?,
                b'\n' => {
                    self.0.at -= 1;
                    return Err(self.0.error("a text does not end in its line"));
                }
                byte if byte == quote => break,
                byte => bytes.push(byte),
            }
        }
        String::from_utf8(bytes).map_err(|_| {
            self.0.at -= 1;
            self.0.error("a text is not UTF-8")
        })
    }

    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<(), SyntaxError> {
        let Some(byte) = self.0.take() else { return Err(self.0.error("a text does not end")) };
        bytes.push(match byte {
            b'a' => 7,
            b'b' => 8,
            b't' => b'\t',
            b'n' | b'\n' => b'\n',
            b'v' => 11,
            b'f' => 12,
            b'r' => b'\r',
            b'\\' | b'"' | b'\'' => byte,
            b'x' => self.digits(2, 2, 16)?,
            b'0'..=b'9' => {
                self.0.at -= 1;
                self.digits(1, 3, 10)?
            }
            _ => {
                self.0.at -= 1;
                return Err(self.0.error("unknown escape in a text"));
            }
        });
        Ok(())
    }

    fn digits(&mut self, least: usize, most: usize, radix: u32) -> Result<u8, SyntaxError> {
        let rest = self.0.rest();
        let is_digit = |byte: &u8| char::from(*byte).is_digit(radix);
        let length = rest.iter().take(most).take_while(|byte| is_digit(byte)).count();
        let number = str::from_utf8(&rest[..length]).ok();
        let number = number.filter(|_| length >= least);
        let number = number.and_then(|digits| u8::from_str_radix(digits, radix).ok());
        let number = number.ok_or_else(|| self.0.error("unknown escape in a text"))?;
        self.0.at += length;
        Ok(number)
    }

    /// Skips white space and comments.
    fn space(&mut self) {
        loop {
            self.0.take_while(|byte| byte.is_ascii_whitespace());
            if !self.0.rest().starts_with(b"--") {
                return;
            }
            self.0.take_while(|byte| byte != b'\n');
        }
    }

    fn skip(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.0.peek() == Some(byte);
        self.0.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &str) -> bool {
        self.space();
        let rest = self.0.rest();
        let follows = rest.get(word.len()).copied().unwrap_or(b' ');
        let found = rest.starts_with(word.as_bytes())
            && !follows.is_ascii_alphanumeric()
            && follows != b'_';
        if found {
            self.0.at += word.len();
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Result<Value, SyntaxError> {
        parse_return(text.as_bytes())
    }

    #[test]
    fn tables_are_read_as_lua_reads_them() {
        let text = "-- a comment\nreturn {\n\t[\"a b\"] = 'x\\'\\195\\188\\x21\\n\\\n';\n\
            plain = -1.5e3, [false] = { version = 0x10 }; 1, { nil, true };\n};\n";
        let Value::Table(table) = parsed(text).unwrap() else { panic!("a table") };
        assert_eq!(table.text("a b"), Some("x'ü!\n\n"));
        assert_eq!(table.number("plain"), Some(-1500.0));
        assert_eq!(table.about().unwrap().number("version"), Some(16.0));
        let list: Vec<_> = table.list().collect();
        assert_eq!(list[0], &Value::Number(1.0));
        assert_eq!(list[1].table().unwrap().list().count(), 2);
        assert_eq!(parsed("return{returned={}}").unwrap().table().unwrap().named().count(), 1);
    }

    #[test]
    fn nothing_is_executed() {
        for text in [
            "",
            "return os.exit()",
            "return { f() }",
            "return function() end",
            "return 1 + 1",
            "return \"a\" .. \"b\"",
            "return { a = b }",
            "return 1/0",
            "return {} os.exit()",
            "x = 1",
            "return \"a\nb\"",
            "return \"\\999\"",
            "return \"\\xff\"",
            "return { [1] 2 }",
        ] {
            assert!(parsed(text).is_err(), "{text}");
        }
        let error = parsed("return {\n a = 1,\n b = c }").unwrap_err();
        assert_eq!(error.line, 3);
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth| format!("return {}{}", "{".repeat(depth), "}".repeat(depth));
        assert!(parsed(&nested(MAX_DEPTH)).is_ok());
        assert!(parsed(&nested(MAX_DEPTH + 1)).is_err());
        assert!(parsed(&nested(100_000)).is_err());
    }

    #[test]
    fn a_broken_item_does_not_take_others_with_it() {
        let text = b"item({1});\nitem(\n\t2)\nitem(;);\nitem({ \"a\\\n);\" })";
        let items: Vec<_> = Items::new(&text[..]).collect();
        assert_eq!(items.len(), 4);
        assert_eq!(items[1].as_ref().unwrap(), &Value::Number(2.0));
        assert!(items[2].as_ref().unwrap_err().to_string().contains("line 4"));
        let last = items[3].as_ref().unwrap().table().unwrap();
        assert_eq!(last.list().next().unwrap().text(), Some("a\n);"));
        assert_eq!(Items::new(&b"\n\n"[..]).count(), 0);
    }

    fn written(value: &Value) -> String {
        match value {
            Value::Nil => "nil".to_owned(),
            Value::Boolean(boolean) => boolean.to_string(),
            Value::Number(number) => number.to_string(),
            Value::Text(text) => {
                let bytes: String = text.bytes().map(|byte| format!("\\{byte:03}")).collect();
                format!("\"{bytes}\"")
            }
            Value::Table(table) => {
                let entry = |(key, value): &(Value, Value)| {
                    format!("[{}] = {};", written(key), written(value))
                };
                format!("{{ {} }}", table.0.iter().map(entry).collect::<String>())
            }
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::Boolean),
            any::<i32>().prop_map(|number| Value::Number(f64::from(number) / 8.0)),
            any::<String>().prop_map(Value::Text),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let entries = proptest::collection::vec((any::<String>(), inner), 0..4);
            entries.prop_map(|entries| {
                let text = |(key, value)| (Value::Text(key), value);
                Value::Table(Table(entries.into_iter().map(text).collect()))
            })
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in value()) {
            prop_assert_eq!(parsed(&format!("return {}", written(&value))), Ok(value));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_return(&bytes);
            for item in Items::new(&bytes[..]) {
                prop_assert!(item.is_err() || bytes.contains(&b'('));
            }
        }

        #[test]
        fn any_tokens_are_read_or_refused(
            tokens in proptest::collection::vec(
                prop_oneof![
                    Just("return "), Just("{"), Just("}"), Just("["), Just("]"), Just("="),
                    Just("\""), Just("\\"), Just("1"), Just("-"), Just("item("), Just(")"),
                    Just(";"), Just("nil"), Just("--"), Just("\n"), Just("ü"),
                ],
                0..40,
            )
        ) {
            let text = tokens.concat();
            let _ = parsed(&text);
            prop_assert!(Items::new(text.as_bytes()).count() <= text.len() + 1);
        }
    }
}
