//! One session, without input and output: requests in their order, answers when there is
//! something to say or the time is over. `T` is how a request is answered.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use axum::body::Bytes;
use sha1::{Digest as _, Sha1};
use tokio::time::Instant;
use wello_wire::hex;
use wello_wire::ns;
use wello_wire::xml::{Element, read_document, write_attribute};

use super::request::Request;
use super::{ITEM_NOT_FOUND, POLICY_VIOLATION};

/// Requests that a client may have open, and answers that are kept to be sent again.
pub(super) const REQUESTS: usize = 2;
/// How long a client may be without a request.
pub(super) const INACTIVITY: Duration = Duration::from_secs(60);
/// The same when it has asked for a pause.
pub(super) const MAX_PAUSE: Duration = Duration::from_secs(120);
/// The least time between two empty requests of a client that polls.
pub(super) const POLLING: Duration = Duration::from_secs(5);
/// How long the first answer may take, however short the client wants to wait.
const OPENING: Duration = Duration::from_secs(10);

/// What was agreed on when the session began.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub sid: String,
    pub host: String,
    /// Minor number of the protocol's version 1.
    pub version: u32,
    pub wait: Duration,
    pub hold: usize,
    pub acks: bool,
    /// Bytes for the client that may wait for a request.
    pub outbox_bytes: usize,
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Closed,
    Condition(&'static str),
}

struct Held<T> {
    reply: T,
    deadline: Instant,
    key: Option<String>,
}

struct Answered {
    rid: u64,
    key: Option<String>,
    body: Bytes,
}

pub(super) struct Session<T> {
    terms: Terms,
    /// The request that is to be handled next.
    next: u64,
    /// Came before their turn.
    early: BTreeMap<u64, (Request, T)>,
    /// Handled and not answered.
    held: BTreeMap<u64, Held<T>>,
    answered: VecDeque<Answered>,
    to_stream: VecDeque<Bytes>,
    stream_takes: bool,
    outbox: Vec<Bytes>,
    outbox_bytes: usize,
    /// Until the first answer is given.
    opening: bool,
    stream_id: Option<String>,
    key: Option<String>,
    pause: Option<Duration>,
    /// When a session without requests is given up.
    expires: Option<Instant>,
    last_empty: Option<Instant>,
    logged_in: bool,
    end: Option<End>,
    answers: Vec<(T, Bytes)>,
}

impl<T> Session<T> {
    /// `open` begins the stream.
    pub fn new(terms: Terms, open: Bytes, creation: Request, reply: T, now: Instant) -> Session<T> {
        let held =
            Held { reply, deadline: now + terms.wait.max(OPENING), key: creation.key.clone() };
        let mut to_stream = VecDeque::from([open]);
        to_stream.extend(creation.frames);
        Session {
            next: creation.rid + 1,
            early: BTreeMap::new(),
            held: BTreeMap::from([(creation.rid, held)]),
            answered: VecDeque::new(),
            to_stream,
            stream_takes: true,
            outbox: Vec::new(),
            outbox_bytes: 0,
            opening: true,
            stream_id: None,
            key: creation.newkey,
            pause: None,
            expires: None,
            last_empty: None,
            logged_in: false,
            end: None,
            answers: Vec::new(),
            terms,
        }
    }

    /// A request has come.
    pub fn request(&mut self, request: Request, reply: T, now: Instant) {
        let rid = request.rid;
        self.expires = None;
        if rid < self.next {
            return self.repeat(&request, reply);
        }
        if rid >= self.next + REQUESTS as u64 {
            return self.refuse(reply, ITEM_NOT_FOUND);
        }
        if let Some((_, older)) = self.early.insert(rid, (request, reply)) {
            // The client has given that one up.
            self.answers.push((older, empty()));
        }
        while let Some((request, reply)) = self.early.remove(&self.next) {
            self.next += 1;
            if let Err(condition) = self.handle(request, reply, now) {
                self.end = Some(End::Condition(condition));
                return;
            }
        }
    }

    /// XEP-0124, section 14.3.
    fn repeat(&mut self, request: &Request, reply: T) {
        if let Some(held) = self.held.get_mut(&request.rid) {
            if held.key == request.key {
                let older = std::mem::replace(&mut held.reply, reply);
                return self.answers.push((older, empty()));
            }
        } else if let Some(known) = self.answered.iter().find(|known| known.rid == request.rid)
            && known.key == request.key
        {
            return self.answers.push((reply, known.body.clone()));
        }
        self.refuse(reply, ITEM_NOT_FOUND);
    }

    fn refuse(&mut self, reply: T, condition: &'static str) {
        self.answers.push((reply, terminate(Some(condition))));
        self.end = Some(End::Condition(condition));
    }

    fn handle(&mut self, request: Request, reply: T, now: Instant) -> Result<(), &'static str> {
        let deadline = now + self.terms.wait;
        self.held.insert(request.rid, Held { reply, deadline, key: request.key.clone() });
        self.check_key(&request)?;
        self.check_polling(&request, now)?;
        if let Some(ack) = request.ack {
            self.answered.retain(|known| known.rid > ack);
        }
        self.pause = request.pause.map(Duration::from_secs);
        if self.pause.is_some_and(|pause| pause > MAX_PAUSE) {
            return Err(POLICY_VIOLATION);
        }
        if self.stream_takes {
            self.to_stream.extend(request.restart);
            self.to_stream.extend(request.frames);
            if request.terminate {
                let close = Element::new("close", ns::FRAMING);
                self.to_stream.push_back(close.to_string().into());
            }
        }
        Ok(())
    }

    /// XEP-0124, section 15: each key is what the one before it was made from.
    fn check_key(&mut self, request: &Request) -> Result<(), &'static str> {
        let Some(expected) = &self.key else { return Ok(()) };
        let key = request.key.as_deref().ok_or(ITEM_NOT_FOUND)?;
        if hex::encode(Sha1::digest(key)) != *expected {
            return Err(ITEM_NOT_FOUND);
        }
        self.key = request.newkey.clone().or_else(|| request.key.clone());
        Ok(())
    }

    /// XEP-0124, section 12.
    fn check_polling(&mut self, request: &Request, now: Instant) -> Result<(), &'static str> {
        let polls = self.terms.hold == 0 || self.terms.wait.is_zero();
        let empty = request.frames.is_empty()
            && request.restart.is_none()
            && request.pause.is_none()
            && !request.terminate;
        let before = std::mem::replace(&mut self.last_empty, empty.then_some(now));
        match before {
            Some(before) if polls && empty && now < before + POLLING => Err(POLICY_VIOLATION),
            _ => Ok(()),
        }
    }

    /// The stream has something for the client.
    pub fn frame(&mut self, frame: Bytes) {
        if frame.starts_with(b"<open ") {
            if let Ok(open) = read_document(&frame, &Default::default()) {
                self.stream_id = open.attr("id").map(str::to_owned);
            }
            return;
        }
        if frame.starts_with(b"<close ") {
            self.end.get_or_insert(End::Closed);
            return;
        }
        if frame.starts_with(b"<stream:error") {
            // XEP-0206, section 6.
            self.end = Some(End::Condition("remote-stream-error"));
        }
        self.logged_in |= frame.starts_with(b"<success ");
        // What follows is not an answer to a client that polls for nothing.
        self.last_empty = None;
        self.outbox_bytes += frame.len();
        self.outbox.push(frame);
    }

    /// Nothing more can be said to the stream.
    pub fn stop_sending(&mut self) {
        self.stream_takes = false;
        self.to_stream.clear();
    }

    /// Nothing more comes from the stream.
    pub fn stream_ended(&mut self) {
        self.end.get_or_insert(End::Condition("remote-connection-failed"));
    }

    /// Answers whatever can be answered now.
    pub fn settle(&mut self, now: Instant) {
        if self.end.is_some() {
            return self.finish();
        }
        while let Some((&rid, first)) = self.held.first_key_value() {
            let crowded = self.held.len() > self.terms.hold || self.pause.is_some();
            let ready = !self.outbox.is_empty() || (crowded && !self.opening);
            if !ready && first.deadline > now {
                break;
            }
            self.answer(rid, None);
        }
        if !self.held.is_empty() {
            self.expires = None;
            return;
        }
        let quiet = self.pause.unwrap_or(INACTIVITY);
        if *self.expires.get_or_insert(now + quiet) <= now {
            self.end = Some(End::Condition(ITEM_NOT_FOUND));
        }
    }

    fn finish(&mut self) {
        let condition = match self.end {
            Some(End::Condition(condition)) => Some(condition),
            _ => None,
        };
        while let Some((&rid, _)) = self.held.first_key_value() {
            self.answer(rid, Some(condition));
        }
        for (_, (_, reply)) in std::mem::take(&mut self.early) {
            self.answers.push((reply, terminate(condition)));
        }
    }

    /// `end`: the session ends, for a reason or without one.
    fn answer(&mut self, rid: u64, end: Option<Option<&'static str>>) {
        let Some(held) = self.held.remove(&rid) else { return };
        let mut body = start();
        if std::mem::take(&mut self.opening) && end.is_none() {
            self.write_terms(&mut body, rid);
        } else if self.terms.acks && self.next - 1 != rid {
            write_attribute(&mut body, "ack", &(self.next - 1).to_string());
        }
        if let Some(condition) = end {
            write_end(&mut body, condition);
        }
        if self.outbox.iter().any(|frame| frame.starts_with(b"<stream:")) {
            write_attribute(&mut body, "xmlns:stream", ns::STREAM);
        }
        body.push(b'>');
        self.outbox.drain(..).for_each(|frame| body.extend_from_slice(&frame));
        self.outbox_bytes = 0;
        body.extend_from_slice(b"</body>");
        let body = Bytes::from(body);
        self.answers.push((held.reply, body.clone()));
        if self.answered.len() >= REQUESTS {
            self.answered.pop_front();
        }
        self.answered.push_back(Answered { rid, key: held.key, body });
    }

    /// XEP-0124, section 7.2; XEP-0206, section 4.
    fn write_terms(&self, body: &mut Vec<u8>, rid: u64) {
        let Terms { sid, host, version, wait, hold, acks, .. } = &self.terms;
        let mut number = |name: &str, value: u64| write_attribute(body, name, &value.to_string());
        number("wait", wait.as_secs());
        number("hold", *hold as u64);
        number("requests", REQUESTS as u64);
        number("inactivity", INACTIVITY.as_secs());
        number("polling", POLLING.as_secs());
        number("maxpause", MAX_PAUSE.as_secs());
        if *acks {
            number("ack", rid);
        }
        write_attribute(body, "sid", sid);
        write_attribute(body, "from", host);
        write_attribute(body, "ver", &format!("1.{version}"));
        if let Some(id) = &self.stream_id {
            write_attribute(body, "authid", id);
        }
        write_attribute(body, "xmlns:xmpp", ns::XBOSH);
        write_attribute(body, "xmpp:version", "1.0");
        write_attribute(body, "xmpp:restartlogic", "true");
    }

    pub fn take_answers(&mut self) -> Vec<(T, Bytes)> {
        std::mem::take(&mut self.answers)
    }

    pub fn next_frame(&mut self) -> Option<Bytes> {
        self.to_stream.pop_front()
    }

    pub fn has_frames(&self) -> bool {
        !self.to_stream.is_empty()
    }

    /// Whether more may come from the stream.
    pub fn has_room(&self) -> bool {
        self.outbox_bytes < self.terms.outbox_bytes
    }

    pub fn is_logged_in(&self) -> bool {
        self.logged_in
    }

    pub fn is_over(&self) -> bool {
        self.end.is_some() && self.held.is_empty()
    }

    /// When [`Session::settle`] is to be called if nothing happens.
    pub fn deadline(&self) -> Option<Instant> {
        self.held.first_key_value().map(|(_, held)| held.deadline).or(self.expires)
    }
}

fn start() -> Vec<u8> {
    let mut body = b"<body".to_vec();
    write_attribute(&mut body, "xmlns", ns::BOSH);
    body
}

fn empty() -> Bytes {
    let mut body = start();
    body.extend_from_slice(b"/>");
    body.into()
}

fn write_end(body: &mut Vec<u8>, condition: Option<&str>) {
    write_attribute(body, "type", "terminate");
    if let Some(condition) = condition {
        write_attribute(body, "condition", condition);
    }
}

/// The answer that ends a session, or says that there is none.
pub(super) fn terminate(condition: Option<&str>) -> Bytes {
    let mut body = start();
    write_end(&mut body, condition);
    body.extend_from_slice(b"/>");
    body.into()
}
