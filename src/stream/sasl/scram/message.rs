//! The messages of RFC 5802, section 7.

use std::str::Split;

use crate::sasl::encoding;
use crate::sasl::failure::{Failure, Reason};
use crate::sasl::gs2::{Gs2Header, decode_saslname};

/// `client-first-message`
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFirst<'a> {
    pub(super) header: Gs2Header<'a>,
    /// The message without its GS2 header, which the proof covers.
    pub(super) bare: &'a str,
    pub(super) username: String,
    pub(super) nonce: &'a str,
}

/// `client-final-message`
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFinal<'a> {
    /// The decoded `cbind-input`.
    pub(super) binding: Vec<u8>,
    pub(super) nonce: &'a str,
    pub(super) proof: Vec<u8>,
    /// Everything before the proof, which the proof covers.
    pub(super) without_proof: &'a str,
}

impl<'a> ClientFirst<'a> {
    pub(super) fn parse(message: &'a str) -> Result<ClientFirst<'a>, Failure> {
        let (header, bare) = Gs2Header::split(message)?;
        let mut attributes = Attributes::of(bare);
        let username = decode_saslname(attributes.expect('n')?)?;
        let nonce = attributes.expect('r')?;
        if nonce.is_empty() || !nonce.bytes().all(is_nonce_octet) {
            return Err(SYNTAX);
        }
        while let Some((name, _)) = attributes.next()? {
            refuse_known(name)?;
        }
        Ok(ClientFirst { header, bare, username, nonce })
    }
}

impl<'a> ClientFinal<'a> {
    pub(super) fn parse(message: &'a str) -> Result<ClientFinal<'a>, Failure> {
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(SYNTAX)?;
        let proof = encoding::strict(proof).ok_or(BASE64)?;
        let mut attributes = Attributes::of(without_proof);
        let binding = encoding::strict(attributes.expect('c')?).ok_or(BASE64)?;
        let nonce = attributes.expect('r')?;
        while let Some((name, _)) = attributes.next()? {
            refuse_known(name)?;
        }
        Ok(ClientFinal { binding, nonce, proof, without_proof })
    }
}

/// `attr-val` pairs, in the order in which RFC 5802 wants them.
struct Attributes<'a>(Split<'a, char>);

impl<'a> Attributes<'a> {
    fn of(message: &'a str) -> Attributes<'a> {
        Attributes(message.split(','))
    }

    fn next(&mut self) -> Result<Option<(char, &'a str)>, Failure> {
        let Some(attribute) = self.0.next() else { return Ok(None) };
        let (name, value) = attribute.split_once('=').ok_or(SYNTAX)?;
        let valid_name = name.len() == 1 && name.bytes().all(|c| c.is_ascii_alphabetic());
        match name.chars().next() {
            Some('m') => Err(Failure::malformed(Reason::MandatoryExtension)),
            Some(name) if valid_name && !value.contains('\0') => Ok(Some((name, value))),
            _ => Err(SYNTAX),
        }
    }

    fn expect(&mut self, wanted: char) -> Result<&'a str, Failure> {
        match self.next()? {
            Some((name, value)) if name == wanted => Ok(value),
            _ => Err(SYNTAX),
        }
    }
}

/// An extension must not repeat or displace an attribute that RFC 5802 defines.
fn refuse_known(name: char) -> Result<(), Failure> {
    match "aceimnprsv".contains(name) {
        true => Err(SYNTAX),
        false => Ok(()),
    }
}

/// `printable`: all of ASCII that shows, except the comma.
fn is_nonce_octet(octet: u8) -> bool {
    octet.is_ascii_graphic() && octet != b','
}

const SYNTAX: Failure = Failure::malformed(Reason::Syntax);
const BASE64: Failure = Failure::malformed(Reason::Base64);
