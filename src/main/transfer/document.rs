//! Reads a file of XEP-0227 piece by piece, so that its size does not matter.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use quick_xml::NsReader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::ResolveResult;
use wello_wire::ns;
use wello_wire::xml::{Element, Ns};

/// Extensions of our own (schemas/pie-0.xsd).
pub const NS_ACCOUNT: &str = "urn:wello:pie:0";
const XINCLUDE: &str = "http://www.w3.org/2001/XInclude";
/// Bytes of one piece: a vCard with a photo, the largest thing that a piece can be, stays below.
const MAX_PIECE: usize = 8 * 1024 * 1024;
/// Elements within each other. Our own streams allow 64; a wrapper or two comes on top.
const MAX_DEPTH: usize = 80;
/// The file, its hosts' files, their users' files (XEP-0227, section 5.1).
const MAX_INCLUDES: usize = 4;

/// What a file says, in its order.
pub enum Piece {
    Host(String),
    User {
        name: String,
        password: Option<String>,
    },
    /// A child of `<user/>`.
    Part(Element),
    /// A child of `<offline-messages/>`.
    Offline(Element),
    /// A child of `<archive/>`.
    Archived(Element),
    UserEnd,
    /// An extension of ours: `<room/>` within a host.
    Room {
        jid: String,
        created: Option<String>,
        version: Option<String>,
    },
    /// A child of `<room/>`; what is in its `<archive/>` comes as that of a user does.
    RoomPart(Element),
    RoomEnd,
    /// An extension of ours: `<nodes/>` of the PubSub service of this address, within a host.
    Nodes(String),
    /// A child of `<nodes/>`, as of a user.
    NodesPart(Element),
    NodesEnd,
    /// Something that is not in the specification, by its name.
    Unknown(String),
}

/// Where in the outline reading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Data,
    Host,
    User,
    Room,
    Nodes,
    Offline,
    Archive,
}

pub struct Document {
    /// Included files stand on top of those that include them.
    sources: Vec<Source>,
    places: Vec<Place>,
}

struct Source {
    path: PathBuf,
    reader: NsReader<Metered<BufReader<File>>>,
    /// How many places were open when it was included.
    within: usize,
}

impl Document {
    pub fn open(path: &Path) -> anyhow::Result<Document> {
        Ok(Document { sources: vec![Source::open(path, 0)?], places: Vec::new() })
    }

    /// The next piece, or none at the end of the document.
    pub fn next(&mut self) -> anyhow::Result<Option<Piece>> {
        while let Some(source) = self.sources.last_mut() {
            source.reader.get_mut().left = MAX_PIECE;
            let place = source.place();
            match read(source, &mut self.places).with_context(|| place)? {
                Step::Piece(piece) => return Ok(Some(piece)),
                Step::Nothing => {}
                Step::Include(href) => self.include(&href)?,
                Step::Eof => {
                    let source = self.sources.pop();
                    if let Some(source) = source
                        && source.within != self.places.len()
                    {
                        bail!("{}: the file ends too early", source.path.display());
                    }
                }
            }
        }
        Ok(None)
    }

    fn include(&mut self, href: &str) -> anyhow::Result<()> {
        let Some(source) = self.sources.last() else { return Ok(()) };
        let relative = Path::new(href);
        let below = relative.components().all(|part| matches!(part, Component::Normal(_)));
        if !below || href.contains(':') {
            bail!("{}: {href:?} is not a file beside or below this one", source.place());
        }
        if self.sources.len() >= MAX_INCLUDES {
            bail!("{}: files include each other too often", source.place());
        }
        let folder = source.path.parent().unwrap_or(Path::new("."));
        let path = folder.join(relative);
        self.sources.push(Source::open(&path, self.places.len())?);
        Ok(())
    }
}

impl Source {
    fn open(path: &Path, within: usize) -> anyhow::Result<Source> {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        let metered = Metered { inner: BufReader::new(file), left: MAX_PIECE };
        let mut reader = NsReader::from_reader(metered);
        reader.config_mut().expand_empty_elements = true;
        Ok(Source { path: path.to_owned(), reader, within })
    }

    fn place(&self) -> String {
        format!("{}, byte {}", self.path.display(), self.reader.buffer_position())
    }
}

enum Step {
    Piece(Piece),
    Nothing,
    Include(String),
    Eof,
}

/// Reads one tag of the outline, or a whole piece.
fn read(source: &mut Source, places: &mut Vec<Place>) -> anyhow::Result<Step> {
    let mut buffer = Vec::new();
    let (ns, event) = source.reader.read_resolved_event_into(&mut buffer)?;
    let ns = namespace(&ns)?;
    match event {
        Event::Start(start) => {
            let element = start_tag(&mut source.reader, &start, ns)?;
            enter(source, places, element)
        }
        Event::End(_) if places.len() > source.within => match places.pop() {
            Some(Place::User) => Ok(Step::Piece(Piece::UserEnd)),
            Some(Place::Room) => Ok(Step::Piece(Piece::RoomEnd)),
            Some(Place::Nodes) => Ok(Step::Piece(Piece::NodesEnd)),
            _ => Ok(Step::Nothing),
        },
        Event::Eof => Ok(Step::Eof),
        Event::DocType(_) => bail!("a document type declaration, which is not allowed"),
        _ => Ok(Step::Nothing),
    }
}

fn enter(source: &mut Source, places: &mut Vec<Place>, tag: Element) -> anyhow::Result<Step> {
    let attr = |name: &str| {
        let value = tag.attr(name).map(str::to_owned);
        value.ok_or_else(|| anyhow!("<{}/> without {name}", tag.name()))
    };
    let place = places.last().copied();
    if tag.is("include", XINCLUDE) && !matches!(place, Some(Place::Offline | Place::Archive)) {
        let href = attr("href")?;
        complete(&mut source.reader, tag)?;
        return Ok(Step::Include(href));
    }
    let step = match (place, tag.ns(), tag.name()) {
        (None, ns::PIE, "server-data") => {
            places.push(Place::Data);
            Step::Nothing
        }
        (None, ..) => bail!("<{}/> is not the <server-data/> of XEP-0227", tag.name()),
        (Some(Place::Data), ns::PIE, "host") => {
            let host = attr("jid")?;
            places.push(Place::Host);
            Step::Piece(Piece::Host(host))
        }
        (Some(Place::Host), ns::PIE, "user") => {
            let (name, password) = (attr("name")?, tag.attr("password").map(str::to_owned));
            places.push(Place::User);
            Step::Piece(Piece::User { name, password })
        }
        (Some(Place::User), ns::PIE, "offline-messages") => {
            places.push(Place::Offline);
            Step::Nothing
        }
        (Some(Place::Host), NS_ACCOUNT, "room") => {
            let optional = |name: &str| tag.attr(name).map(str::to_owned);
            let (created, version) = (optional("created"), optional("version"));
            let jid = attr("jid")?;
            places.push(Place::Room);
            Step::Piece(Piece::Room { jid, created, version })
        }
        (Some(Place::Host), NS_ACCOUNT, "nodes") => {
            let jid = attr("jid")?;
            places.push(Place::Nodes);
            Step::Piece(Piece::Nodes(jid))
        }
        (Some(Place::User | Place::Room), ns::PIE_MAM, "archive") => {
            places.push(Place::Archive);
            Step::Nothing
        }
        (Some(Place::Data | Place::Host), ..) => {
            let name = tag.name().to_owned();
            complete(&mut source.reader, tag)?;
            Step::Piece(Piece::Unknown(name))
        }
        (Some(Place::User), ..) => Step::Piece(Piece::Part(complete(&mut source.reader, tag)?)),
        (Some(Place::Room), ..) => Step::Piece(Piece::RoomPart(complete(&mut source.reader, tag)?)),
        (Some(Place::Nodes), ..) => {
            Step::Piece(Piece::NodesPart(complete(&mut source.reader, tag)?))
        }
        (Some(Place::Offline), ..) => {
            Step::Piece(Piece::Offline(complete(&mut source.reader, tag)?))
        }
        (Some(Place::Archive), ..) => {
            Step::Piece(Piece::Archived(complete(&mut source.reader, tag)?))
        }
    };
    Ok(step)
}

/// Reads the rest of an element whose start tag has been read.
fn complete<R: BufRead>(reader: &mut NsReader<R>, start: Element) -> anyhow::Result<Element> {
    let mut open = vec![start];
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        let (ns, event) = reader.read_resolved_event_into(&mut buffer)?;
        let ns = namespace(&ns)?;
        // There always is one open element: the last one to be closed is returned.
        let Some(top) = open.last_mut() else { bail!("an end tag without a start tag") };
        match event {
            Event::Start(start) => {
                let element = start_tag(reader, &start, ns)?;
                if open.len() >= MAX_DEPTH {
                    bail!("more than {MAX_DEPTH} elements within each other");
                }
                open.push(element);
            }
            Event::End(_) => {
                let closed = open.pop();
                match (closed, open.last_mut()) {
                    (Some(element), Some(parent)) => parent.push(element),
                    (Some(element), None) => return Ok(element),
                    (None, _) => bail!("an end tag without a start tag"),
                }
            }
            Event::Text(text) => top.push_text(text.xml10_content()),
            Event::CData(text) => top.push_text(text.into_inner()),
            Event::GeneralRef(reference) => top.push_text(resolved(&reference)?),
            Event::Eof => bail!("the file ends too early"),
            Event::DocType(_) => bail!("a document type declaration, which is not allowed"),
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) | Event::Empty(_) => {}
        }
    }
}

/// The character that a reference stands for; entities that a document declares are not read.
fn resolved(reference: &BytesRef<'_>) -> anyhow::Result<String> {
    if let Some(character) = reference.resolve_char_ref()? {
        return Ok(character.to_string());
    }
    let name: &str = reference;
    let text = quick_xml::escape::resolve_predefined_entity(name);
    Ok(text.with_context(|| format!("unknown entity {name:?}"))?.to_owned())
}

fn start_tag<R>(
    reader: &mut NsReader<R>,
    start: &BytesStart<'_>,
    ns: Ns,
) -> anyhow::Result<Element> {
    let mut element = Element::new(checked(start.local_name().into_inner())?, ns);
    for attribute in start.attributes() {
        let attribute = attribute?;
        if attribute.key.as_namespace_binding().is_some() {
            continue;
        }
        let (ns, name) = reader.resolver_mut().resolve_attribute(attribute.key);
        let (ns, name) = (namespace(&ns)?, checked(name.into_inner())?);
        let value = attribute.normalized_value(XmlVersion::Implicit1_0)?;
        element.set_attr_ns(ns, name, value.as_ref());
    }
    Ok(element)
}

/// The parser takes any name; what has none that XML allows could not be sent to anybody (Namespaces in
/// XML, section 4).
fn checked(name: &str) -> anyhow::Result<&str> {
    let begins = |c: char| c.is_alphabetic() || c == '_';
    let follows = |c: char| c.is_alphanumeric() || !c.is_ascii() || matches!(c, '-' | '.' | '_');
    if !name.starts_with(begins) || !name.chars().all(follows) {
        bail!("{name:?} is no name of an element or attribute");
    }
    Ok(name)
}

fn namespace(resolved: &ResolveResult<'_>) -> anyhow::Result<Ns> {
    match resolved {
        ResolveResult::Unbound => Ok(Ns::NONE),
        ResolveResult::Bound(namespace) => Ok(Ns::intern(namespace.0)),
        ResolveResult::Unknown(prefix) => bail!("the prefix {prefix:?} is not declared"),
    }
}

/// Lets a bounded number of bytes through, so that no tag or text can fill the memory.
struct Metered<R> {
    inner: R,
    left: usize,
}

impl<R: BufRead> BufRead for Metered<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let left = self.left;
        let buffer = self.inner.fill_buf()?;
        if left == 0 && !buffer.is_empty() {
            let reason = format!("an element of more than {MAX_PIECE} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(&buffer[..buffer.len().min(left)])
    }

    fn consume(&mut self, amount: usize) {
        self.left = self.left.saturating_sub(amount);
        self.inner.consume(amount);
    }
}

impl<R: BufRead> Read for Metered<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let buffer = self.fill_buf()?;
        let length = buffer.len().min(into.len());
        into[..length].copy_from_slice(&buffer[..length]);
        self.consume(length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(files: &[(&str, &str)]) -> anyhow::Result<Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let mut document = Document::open(&dir.path().join(files[0].0))?;
        let mut pieces = Vec::new();
        while let Some(piece) = document.next()? {
            pieces.push(match piece {
                Piece::Host(host) => format!("host {host}"),
                Piece::User { name, password } => format!("user {name} {password:?}"),
                Piece::Part(part) => format!("part {part}"),
                Piece::Offline(message) => format!("offline {message}"),
                Piece::Archived(result) => format!("archived {result}"),
                Piece::UserEnd => "end".to_owned(),
                Piece::Room { jid, created, version } => {
                    format!("room {jid} {created:?} {version:?}")
                }
                Piece::RoomPart(part) => format!("part of room {part}"),
                Piece::RoomEnd => "end of room".to_owned(),
                Piece::Nodes(jid) => format!("nodes {jid}"),
                Piece::NodesPart(part) => format!("part of nodes {part}"),
                Piece::NodesEnd => "end of nodes".to_owned(),
                Piece::Unknown(name) => format!("unknown {name}"),
            });
        }
        Ok(pieces)
    }

    const ROOT: &str = "<server-data xmlns='urn:xmpp:pie:0' \
        xmlns:xi='http://www.w3.org/2001/XInclude'>";

    #[test]
    fn files_may_include_others_and_prefixes_are_resolved() {
        let main = format!("<?xml version='1.0'?>\n{ROOT}<xi:include href='a.xml'/></server-data>");
        let host = "<p:host xmlns:p='urn:xmpp:pie:0' xmlns:xi='http://www.w3.org/2001/XInclude' \
            jid='a'><xi:include href='a/u.xml'/><x xmlns='urn:x'/></p:host>";
        let user = "<user xmlns='urn:xmpp:pie:0' name='u' password='a&amp;&#98;'>\
            <q:vCard xmlns:q='vcard-temp'><q:FN xml:lang='en'>&lt;U&#x21;<![CDATA[>]]></q:FN>\
            </q:vCard><offline-messages><m xmlns='jabber:client'/></offline-messages>\
            <archive xmlns='urn:xmpp:pie:0#mam'><r><xi:include xmlns:xi=\
            'http://www.w3.org/2001/XInclude' href='/x'/></r></archive></user>";
        let found = pieces(&[("m.xml", &main), ("a.xml", host), ("a/u.xml", user)]).unwrap();
        assert_eq!(
            found,
            [
                "host a",
                "user u Some(\"a&b\")",
                "part <vCard xmlns='vcard-temp'><FN xml:lang='en'>&lt;U!&gt;</FN></vCard>",
                "offline <m xmlns='jabber:client'/>",
                "archived <r xmlns='urn:xmpp:pie:0#mam'>\
                 <include xmlns='http://www.w3.org/2001/XInclude' href='/x'/></r>",
                "end",
                "unknown x",
            ]
        );
    }

    #[test]
    fn rooms_and_nodes_stand_beside_users() {
        let text = format!(
            "{ROOT}<host jid='a'><room xmlns='{NS_ACCOUNT}' jid='r@c.a' version='3'><settings/>\
             <archive xmlns='urn:xmpp:pie:0#mam'><r/></archive></room>\
             <nodes xmlns='{NS_ACCOUNT}' jid='pubsub.a'><pubsub xmlns='p'/></nodes></host></server-data>"
        );
        assert_eq!(
            pieces(&[("m.xml", &text)]).unwrap(),
            [
                "host a",
                "room r@c.a None Some(\"3\")",
                "part of room <settings xmlns='urn:wello:pie:0'/>",
                "archived <r xmlns='urn:xmpp:pie:0#mam'/>",
                "end of room",
                "nodes pubsub.a",
                "part of nodes <pubsub xmlns='p'/>",
                "end of nodes",
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let deep = format!(
            "{ROOT}<host jid='a'><user name='u'>{}{}</user></host></server-data>",
            "<a>".repeat(MAX_DEPTH + 1),
            "</a>".repeat(MAX_DEPTH + 1)
        );
        let huge = format!(
            "{ROOT}<host jid='a'><user name='u'><v>{}</v></user></host></server-data>",
            "x".repeat(MAX_PIECE + 1)
        );
        for (text, reason) in [
            ("<a/>".to_owned(), "is not the <server-data/>"),
            ("<!DOCTYPE a [<!ENTITY b 'c'>]><a/>".to_owned(), "document type"),
            (format!("{ROOT}<xi:include href='../a.xml'/></server-data>"), "beside or below"),
            (format!("{ROOT}<xi:include href='/etc/passwd'/></server-data>"), "beside or below"),
            (format!("{ROOT}<xi:include href='loop.xml'/></server-data>"), "too often"),
            (format!("{ROOT}<host jid='a'>"), "ends too early"),
            (format!("{ROOT}<host/></server-data>"), "<host/> without jid"),
            (format!("{ROOT}<host jid='&b;'/></server-data>"), "m.xml, byte"),
            (format!("{ROOT}<host jid='a'>< b='c'/></host></server-data>"), "is no name"),
            (format!("{ROOT}<host jid='a'><b 1='c'/></host></server-data>"), "is no name"),
            (deep, "within each other"),
            (huge, "more than 8388608 bytes"),
        ] {
            let again = "<include xmlns='http://www.w3.org/2001/XInclude' href='loop.xml'/>";
            let read = pieces(&[("m.xml", &text), ("loop.xml", again)]);
            let error = format!("{:#}", read.unwrap_err());
            assert!(error.contains(reason) && error.contains(".xml"), "{error}");
        }
    }
}
