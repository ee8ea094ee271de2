use std::net::SocketAddr;

use thiserror::Error;

use super::attribute::{FINGERPRINT, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256, is_required};
use super::{
    Class, HEADER, Key, MAGIC, Method, TransactionId, address, checksum, class_of, method_of,
    padded,
};

/// Not a STUN message: to be dropped (RFC 8489, section 6.3).
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("not a STUN message")]
pub struct Malformed;

/// A message whose attributes all fit into it.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
    /// Where the attribute MESSAGE-INTEGRITY begins.
    integrity: Option<usize>,
    fingerprint: bool,
}

impl<'a> Message<'a> {
    /// `bytes` are those of one message, from its first to its last.
    pub fn parse(bytes: &'a [u8]) -> Result<Message<'a>, Malformed> {
        let header = bytes.get(..HEADER).ok_or(Malformed)?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if header[0] & 0xc0 != 0 || header[4..8] != MAGIC || length != bytes.len() - HEADER {
            return Err(Malformed);
        }
        let mut message = Message { bytes, integrity: None, fingerprint: false };
        let mut at = HEADER;
        while at < bytes.len() {
            let (kind, value) = message.attribute_at(at).ok_or(Malformed)?;
            // Section 14.7: always the last one.
            if message.fingerprint {
                return Err(Malformed);
            }
            if kind == MESSAGE_INTEGRITY && message.integrity.is_none() {
                message.integrity = Some(at);
            }
            if kind == FINGERPRINT {
                let expected = checksum::fingerprint(&bytes[..at]).to_be_bytes();
                if value != expected {
                    return Err(Malformed);
                }
                message.fingerprint = true;
            }
            at += 4 + padded(value.len());
        }
        Ok(message)
    }

    pub fn class(&self) -> Class {
        class_of(u16::from_be_bytes([self.bytes[0], self.bytes[1]]))
    }

    /// `None`: one that neither STUN nor TURN over UDP has.
    pub fn method(&self) -> Option<Method> {
        method_of(u16::from_be_bytes([self.bytes[0], self.bytes[1]]))
    }

    pub fn transaction(&self) -> TransactionId {
        let mut id = [0; 12];
        id.copy_from_slice(&self.bytes[8..HEADER]);
        id
    }

    pub fn has_fingerprint(&self) -> bool {
        self.fingerprint
    }

    pub fn has_integrity(&self) -> bool {
        self.integrity.is_some()
    }

    /// The value of the first attribute of a type.
    pub fn value(&self, kind: u16) -> Option<&'a [u8]> {
        self.attributes().find(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    pub fn text(&self, kind: u16) -> Option<&'a str> {
        std::str::from_utf8(self.value(kind)?).ok()
    }

    pub fn number(&self, kind: u16) -> Option<u32> {
        Some(u32::from_be_bytes(self.value(kind)?.try_into().ok()?))
    }

    pub fn address(&self, kind: u16) -> Option<SocketAddr> {
        address::read(self.value(kind)?, &self.transaction())
    }

    /// Of all attributes of a type; one that is no address is `None`.
    pub fn addresses(&self, kind: u16) -> impl Iterator<Item = Option<SocketAddr>> {
        let id = self.transaction();
        let wanted = self.attributes().filter(move |(found, _)| *found == kind);
        wanted.map(move |(_, value)| address::read(value, &id))
    }

    /// Where in the message the value of the first attribute of a type is.
    pub fn range(&self, kind: u16) -> Option<std::ops::Range<usize>> {
        let value = self.value(kind)?;
        let start = value.as_ptr() as usize - self.bytes.as_ptr() as usize;
        Some(start..start + value.len())
    }

    /// Attributes that must be understood and are not among `known` (section 6.3.1).
    pub fn unknown(&self, known: &'static [u16]) -> impl Iterator<Item = u16> {
        let foreign = move |kind: &u16| is_required(*kind) && !known.contains(kind);
        self.attributes().map(|(kind, _)| kind).filter(foreign)
    }

    /// Whether MESSAGE-INTEGRITY was made with this key.
    pub fn is_by(&self, key: &Key) -> bool {
        let Some(at) = self.integrity else { return false };
        let Some((_, mac)) = self.attribute_at(at) else { return false };
        // As if nothing came after it: an address in the header that we only borrow.
        let mut header = [0; HEADER];
        header.copy_from_slice(&self.bytes[..HEADER]);
        let length = u16::try_from(at + 24 - HEADER).unwrap_or(u16::MAX);
        header[2..4].copy_from_slice(&length.to_be_bytes());
        key.verifies(&header, &self.bytes[HEADER..at], mac)
    }

    /// All that count: what comes after MESSAGE-INTEGRITY is not protected by it (section 14.5).
    fn attributes(&self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let message = *self;
        let end = self.integrity.unwrap_or(self.bytes.len());
        let mut at = HEADER;
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let (kind, value) = message.attribute_at(at)?;
            at += 4 + padded(value.len());
            Some((kind, value))
        })
        .filter(|(kind, _)| !matches!(*kind, FINGERPRINT | MESSAGE_INTEGRITY_SHA256))
    }

    fn attribute_at(&self, at: usize) -> Option<(u16, &'a [u8])> {
        let head = self.bytes.get(at..at + 4)?;
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        // The padding has to be there, too.
        let value = self.bytes.get(at + 4..at + 4 + padded(length))?;
        Some((kind, &value[..length]))
    }
}
