use std::net::SocketAddr;
use std::ops::Range;

use super::address::{self, LONGEST};
use super::attribute::{DATA, ERROR_CODE, FINGERPRINT, MESSAGE_INTEGRITY, XOR_PEER_ADDRESS};
use super::{Class, HEADER, Key, MAGIC, Method, TransactionId, checksum, message_type, padded};

/// Appends one message to a buffer; its header always counts what is there.
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    id: TransactionId,
}

impl<'a> Writer<'a> {
    pub fn new(out: &'a mut Vec<u8>, class: Class, method: Method, id: TransactionId) -> Self {
        let start = out.len();
        out.extend_from_slice(&message_type(class, method).to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&id);
        Writer { out, start, id }
    }

    #[must_use]
    pub fn with(mut self, kind: u16, value: &[u8]) -> Self {
        self.add(kind, value);
        self
    }

    #[must_use]
    pub fn with_address(mut self, kind: u16, address: SocketAddr) -> Self {
        let mut value = [0; LONGEST];
        let length = address::write(&mut value, address, &self.id);
        self.add(kind, &value[..length]);
        self
    }

    #[must_use]
    pub fn with_error(mut self, code: u16, reason: &str) -> Self {
        let mut value = Vec::with_capacity(4 + reason.len());
        // Both are below 256.
        value.extend_from_slice(&[0, 0, (code / 100) as u8, (code % 100) as u8]);
        value.extend_from_slice(reason.as_bytes());
        self.add(ERROR_CODE, &value);
        self
    }

    /// MESSAGE-INTEGRITY; only FINGERPRINT may follow.
    #[must_use]
    pub fn with_integrity(mut self, key: &Key) -> Self {
        let end = self.out.len();
        self.count(24);
        let (header, rest) = self.out[self.start..end].split_at(HEADER);
        let mac = key.mac(header, rest);
        self.add(MESSAGE_INTEGRITY, &mac);
        self
    }

    #[must_use]
    pub fn with_fingerprint(mut self) -> Self {
        self.count(8);
        let fingerprint = checksum::fingerprint(&self.out[self.start..]).to_be_bytes();
        self.add(FINGERPRINT, &fingerprint);
        self
    }

    pub fn add(&mut self, kind: u16, value: &[u8]) {
        // What we say is short; a value that is not would break the message.
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        self.out.extend_from_slice(&kind.to_be_bytes());
        self.out.extend_from_slice(&length.to_be_bytes());
        self.out.extend_from_slice(value);
        let padding = padded(value.len()) - value.len();
        self.out.extend_from_slice(&[0; 3][..padding]);
        self.count(0);
    }

    /// Puts the length into the header, as if `more` bytes were there already.
    fn count(&mut self, more: usize) {
        let length = self.out.len() - self.start - HEADER + more;
        let length = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
        self.out[self.start + 2..self.start + 4].copy_from_slice(&length);
    }
}

/// Makes a Data indication (RFC 8656, section 11.4) around a payload that is in its place already,
/// with [`HEADROOM`](data_indication::HEADROOM) before it and three bytes after it.
pub mod data_indication {
    use super::*;

    /// The header, the peer's address and the head of DATA.
    pub const HEADROOM: usize = HEADER + 4 + LONGEST + 4;
    /// The padding.
    pub const TAIL: usize = 3;

    /// Returns where the message is.
    pub fn wrap(
        buffer: &mut [u8],
        payload: Range<usize>,
        peer: SocketAddr,
        id: &TransactionId,
    ) -> Range<usize> {
        let mut address = [0; LONGEST];
        let address_length = address::write(&mut address, peer, id);
        let head = HEADER + 4 + address_length + 4;
        let (start, end) = (payload.start - head, payload.start + padded(payload.len()));
        buffer[payload.end..end].fill(0);
        let length = u16::try_from(end - start - HEADER).unwrap_or(u16::MAX);
        let data = u16::try_from(payload.len()).unwrap_or(u16::MAX);
        let message = &mut buffer[start..end];
        message[..2].copy_from_slice(&message_type(Class::Indication, Method::Data).to_be_bytes());
        message[2..4].copy_from_slice(&length.to_be_bytes());
        message[4..8].copy_from_slice(&MAGIC);
        message[8..HEADER].copy_from_slice(id);
        let (peer, data_head) = message[HEADER..head].split_at_mut(4 + address_length);
        peer[..2].copy_from_slice(&XOR_PEER_ADDRESS.to_be_bytes());
        // At most LONGEST.
        peer[2..4].copy_from_slice(&(address_length as u16).to_be_bytes());
        peer[4..].copy_from_slice(&address[..address_length]);
        data_head[..2].copy_from_slice(&DATA.to_be_bytes());
        data_head[2..].copy_from_slice(&data.to_be_bytes());
        start..end
    }
}
