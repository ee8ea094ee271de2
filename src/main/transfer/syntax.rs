//! What the readers of other servers' files have in common: where something is wrong, and reading a file
//! piece by piece.

use std::io::{self, BufRead, Read};

use thiserror::Error;

/// Bytes of one piece: a stanza with an avatar, as numbers, stays below.
const MAX_PIECE: usize = 16 * 1024 * 1024;
/// Lines that look like the end of a piece and are not, in one piece.
const MAX_FALSE_ENDS: usize = 1000;

/// Why a text was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {reason}")]
pub struct SyntaxError {
    pub line: usize,
    pub reason: &'static str,
    /// The text ended where more was to come.
    pub at_end: bool,
}

/// A place in a text.
pub struct Cursor<'a> {
    pub text: &'a [u8],
    pub at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a [u8]) -> Cursor<'a> {
        Cursor { text, at: 0 }
    }

    pub fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub fn take(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    pub fn rest(&self) -> &'a [u8] {
        &self.text[self.at.min(self.text.len())..]
    }

    pub fn is_at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    /// Takes bytes as long as they are wanted.
    pub fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let length = rest.iter().take_while(|byte| wanted(**byte)).count();
        self.at += length;
        &rest[..length]
    }

    pub fn error(&self, reason: &'static str) -> SyntaxError {
        let before = &self.text[..self.at.min(self.text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        SyntaxError { line, reason, at_end: self.is_at_end() }
    }
}

/// Why there is no piece.
#[derive(Debug, Error)]
pub enum PieceError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
}

/// Cuts a file at lines that may end a piece, so that memory holds one piece at a time.
pub struct Pieces<R> {
    reader: R,
    /// Lines before the piece.
    line: usize,
    ends: fn(&[u8]) -> bool,
    /// Reading failed, and would fail again.
    is_over: bool,
}

impl<R: BufRead> Pieces<R> {
    /// `ends` says whether a line, without white space at its end, may be the last of a piece.
    pub fn new(reader: R, ends: fn(&[u8]) -> bool) -> Pieces<R> {
        Pieces { reader, line: 0, ends, is_over: false }
    }

    /// The next piece; `None` at the end of the file. After one that is broken, reading goes on behind it.
    pub fn next<T>(
        &mut self,
        parse: impl Fn(&[u8]) -> Result<T, SyntaxError>,
    ) -> Option<Result<T, PieceError>> {
        if self.is_over {
            return None;
        }
        let mut text = Vec::new();
        let (first, mut lines, mut false_ends) = (self.line, 0, 0);
        loop {
            let start = text.len();
            let left = (MAX_PIECE - start) as u64;
            match (&mut self.reader).take(left).read_until(b'\n', &mut text) {
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(error.into()));
                }
                Ok(0) if text.trim_ascii().is_empty() && left > 0 => return None,
                Ok(0) => return Some(Err(placed(cut_off(&text), first).into())),
                Ok(_) => lines += 1,
            }
            self.line = first + lines;
            if !(self.ends)(text[start..].trim_ascii_end()) {
                continue;
            }
            match parse(&text) {
                Err(error) if error.at_end && false_ends < MAX_FALSE_ENDS => false_ends += 1,
                parsed => return Some(parsed.map_err(|error| placed(error, first).into())),
            }
        }
    }
}

fn cut_off(text: &[u8]) -> SyntaxError {
    let reason = match text.len() < MAX_PIECE {
        true => "the file ends too early",
        false => "a piece is too large",
    };
    SyntaxError { reason, ..Cursor { text, at: text.len() }.error(reason) }
}

/// With its line in the file.
fn placed(error: SyntaxError, first: usize) -> SyntaxError {
    SyntaxError { line: first + error.line, ..error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Result<String, String>> {
        let mut pieces = Pieces::new(text.as_bytes(), |line| line.ends_with(b"."));
        let parse = |text: &[u8]| {
            let cursor = Cursor { text, at: text.len() };
            let text = String::from_utf8_lossy(text).trim().to_owned();
            match text.matches('(').count().cmp(&text.matches(')').count()) {
                std::cmp::Ordering::Equal => Ok(text),
                std::cmp::Ordering::Greater => Err(cursor.error("more to come")),
                std::cmp::Ordering::Less => Err(Cursor { text: b" ", at: 0 }.error("too much")),
            }
        };
        std::iter::from_fn(|| pieces.next(parse))
            .map(|piece| piece.map_err(|error| error.to_string()))
            .collect()
    }

    #[test]
    fn pieces_end_where_they_are_whole() {
        let pieces = read("(a\nb).\n(c.\nd).\n\n) e.\nf.\n(g");
        let expected = [
            Ok("(a\nb).".to_owned()),
            Ok("(c.\nd).".to_owned()),
            Err("line 6: too much".to_owned()),
            Ok("f.".to_owned()),
            Err("line 8: the file ends too early".to_owned()),
        ];
        // The blank line belongs to the piece after it.
        assert_eq!(pieces.len(), 5, "{pieces:?}");
        assert_eq!(pieces[..2], expected[..2]);
        assert!(pieces[2].as_ref().is_err_and(|error| error.contains("too much")));
        assert_eq!(pieces[3..], expected[3..]);
    }

    #[test]
    fn a_file_that_cannot_be_read_ends() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let mut pieces = Pieces::new(io::BufReader::new(Broken), |_| true);
        let parse = |_: &[u8]| Ok(());
        assert!(matches!(pieces.next(parse), Some(Err(PieceError::Io(_)))));
        assert!(pieces.next(parse).is_none());
    }

    #[test]
    fn a_piece_has_a_limit() {
        let huge = format!("({}.\nb.\n", "x".repeat(MAX_PIECE));
        let pieces = read(&huge);
        assert!(pieces[0].as_ref().is_err_and(|error| error.contains("too large")));
    }
}
