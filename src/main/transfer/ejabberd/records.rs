//! The records of a dump: each is a term, and the first term says what their fields are called.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::Context;

use super::terms::{Term, parse};
use crate::transfer::syntax::Pieces;

/// A localpart and a domain.
pub type Name = (String, String);

/// A record whose fields are found by name, as they are not the same in all versions.
pub struct Record<'a> {
    pub table: &'a str,
    pub names: &'a [String],
    pub values: &'a [Term],
}

impl Record<'_> {
    pub fn get(&self, name: &str) -> Option<&Term> {
        let index = self.names.iter().position(|field| field == name)?;
        self.values.get(index)
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.text()
    }

    pub fn atom(&self, name: &str) -> Option<&str> {
        self.get(name)?.atom()
    }

    /// Whose it is: the first two parts of a key.
    pub fn owner(&self, key: &str) -> Option<Name> {
        let [local, domain, ..] = self.get(key)?.tuple()? else { return None };
        Some((local.text()?.to_owned(), domain.text()?.to_owned()))
    }
}

/// A dump that is read from its beginning.
pub struct Dump {
    pieces: Pieces<BufReader<File>>,
    fields: HashMap<String, Vec<String>>,
}

impl Dump {
    pub fn open(path: &Path) -> anyhow::Result<Dump> {
        let place = || path.display().to_string();
        let file = File::open(path).with_context(place)?;
        let mut pieces = Pieces::new(BufReader::new(file), |line| line.ends_with(b"."));
        let tables = pieces.next(parse).transpose().with_context(place)?;
        let fields = tables.as_ref().and_then(fields);
        let fields = fields.with_context(|| format!("{}: no dump of ejabberd", place()))?;
        Ok(Dump { pieces, fields })
    }

    /// What the fields of a table are called.
    pub fn names(&self, table: &str) -> &[String] {
        self.fields.get(table).map(Vec::as_slice).unwrap_or_default()
    }

    /// The next record with its table.
    pub fn next(&mut self) -> Option<anyhow::Result<(String, Vec<Term>)>> {
        let term = match self.pieces.next(parse)? {
            Ok(term) => term,
            Err(error) => return Some(Err(error.into())),
        };
        let record = match term {
            Term::Tuple(mut terms) if !terms.is_empty() => {
                let values = terms.split_off(1);
                terms[0].atom().map(|table| (table.to_owned(), values))
            }
            _ => None,
        };
        Some(record.context("a term that is no record"))
    }
}

/// `{tables, [{Table, [{record_name, _}, {attributes, Fields}]}]}`.
fn fields(term: &Term) -> Option<HashMap<String, Vec<String>>> {
    let [_, tables] = term.tuple()? else { return None };
    let table = |table: &Term| {
        let [name, about] = table.tuple()? else { return None };
        let fields = about.list()?.iter().find_map(|property| match property.tuple()? {
            [key, fields] if key.atom() == Some("attributes") => fields.list(),
            _ => None,
        })?;
        let fields = fields.iter().filter_map(|field| field.atom().map(str::to_owned)).collect();
        Some((name.atom()?.to_owned(), fields))
    };
    tables.list()?.iter().map(table).collect()
}
