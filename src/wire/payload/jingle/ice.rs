//! ICE over UDP (XEP-0176) with the fingerprint of DTLS (XEP-0320), and SCTP above both (XEP-0343).

use std::fmt::Write as _;
use std::net::IpAddr;

use super::names;
use crate::payload::{
    PayloadError,
    dom::{owned, parsed, required},
};
use crate::{ns, xml::Element};

names! {
    /// Who begins the handshake (RFC 5763, section 5).
    Setup {
        Active = "active",
        ActPass = "actpass",
        Passive = "passive",
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transport {
    pub ufrag: Option<String>,
    pub password: Option<String>,
    pub fingerprint: Option<Fingerprint>,
    pub candidates: Vec<Candidate>,
    pub sctp: Option<SctpMap>,
}

/// An association for data channels (XEP-0343, section 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SctpMap {
    pub port: u16,
    /// Such as [`SctpMap::CHANNELS`].
    pub protocol: String,
    pub streams: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// In lower case.
    pub hash: String,
    pub bytes: Vec<u8>,
    pub setup: Option<Setup>,
}

/// A candidate as it is told; those of others are not read, only counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub id: String,
    pub foundation: String,
    pub generation: u32,
    /// `None`: something else than an address, such as a name of mDNS.
    pub address: Option<IpAddr>,
    pub port: u16,
    pub priority: u32,
    pub protocol: String,
    pub kind: String,
    /// Who opens the connection (RFC 6544, section 4.5); of `tcp` alone.
    pub tcptype: Option<String>,
}

impl Transport {
    pub(super) fn parse(transport: &Element) -> Result<Transport, PayloadError> {
        let mut read = Transport {
            ufrag: owned(transport, "ufrag"),
            password: owned(transport, "pwd"),
            ..Transport::default()
        };
        for child in transport.children() {
            if child.is("fingerprint", ns::JINGLE_DTLS) {
                read.fingerprint = Some(Fingerprint::parse(child)?);
            } else if child.is("candidate", ns::JINGLE_ICE) {
                read.candidates.push(Candidate::parse(child)?);
            } else if child.is("sctpmap", ns::JINGLE_SCTP) {
                read.sctp = Some(SctpMap::parse(child)?);
            }
        }
        Ok(read)
    }

    pub(super) fn to_element(&self) -> Element {
        Element::new("transport", ns::JINGLE_ICE)
            .with_attr_opt("ufrag", self.ufrag.as_deref())
            .with_attr_opt("pwd", self.password.as_deref())
            .with_children(self.sctp.as_ref().map(SctpMap::to_element))
            .with_children(self.fingerprint.as_ref().map(Fingerprint::to_element))
            .with_children(self.candidates.iter().map(Candidate::to_element))
    }
}

impl SctpMap {
    /// Data channels of WebRTC (RFC 8831).
    pub const CHANNELS: &str = "webrtc-datachannel";

    fn parse(map: &Element) -> Result<SctpMap, PayloadError> {
        // Section 4.2 calls `port` what all examples and programs call `number`.
        let port = match parsed(map, "number")? {
            Some(port) => Some(port),
            None => parsed(map, "port")?,
        };
        Ok(SctpMap {
            port: port.ok_or(PayloadError::Missing("number"))?,
            protocol: required(map, "protocol")?.to_owned(),
            streams: parsed(map, "streams")?,
        })
    }

    fn to_element(&self) -> Element {
        Element::new("sctpmap", ns::JINGLE_SCTP)
            .with_attr("number", self.port.to_string())
            .with_attr("protocol", self.protocol.as_str())
            .with_attr_opt("streams", self.streams.map(|streams| streams.to_string()))
    }
}

impl Fingerprint {
    fn parse(fingerprint: &Element) -> Result<Fingerprint, PayloadError> {
        const WRONG: PayloadError = PayloadError::Invalid("fingerprint");
        let setup = match fingerprint.attr("setup") {
            None => None,
            Some(name) => Some(Setup::from_name(name).ok_or(PayloadError::Invalid("setup"))?),
        };
        let text = fingerprint.text();
        let bytes = text.trim().split(':').map(|byte| match byte.len() {
            2 => u8::from_str_radix(byte, 16).map_err(|_| WRONG),
            _ => Err(WRONG),
        });
        let hash = required(fingerprint, "hash")?.to_ascii_lowercase();
        Ok(Fingerprint { hash, bytes: bytes.collect::<Result<_, _>>()?, setup })
    }

    fn to_element(&self) -> Element {
        let mut text = String::with_capacity(self.bytes.len() * 3);
        for (place, byte) in self.bytes.iter().enumerate() {
            let colon = if place == 0 { "" } else { ":" };
            // Writing to a string never fails.
            let _ = write!(text, "{colon}{byte:02X}");
        }
        Element::new("fingerprint", ns::JINGLE_DTLS)
            .with_attr("hash", self.hash.as_str())
            .with_attr_opt("setup", self.setup.map(Setup::name))
            .with_text(text)
    }
}

impl Candidate {
    fn parse(candidate: &Element) -> Result<Candidate, PayloadError> {
        Ok(Candidate {
            id: owned(candidate, "id").unwrap_or_default(),
            foundation: owned(candidate, "foundation").unwrap_or_default(),
            generation: parsed(candidate, "generation")?.unwrap_or_default(),
            address: candidate.attr("ip").and_then(|text| text.parse().ok()),
            port: parsed(candidate, "port")?.unwrap_or_default(),
            priority: parsed(candidate, "priority")?.unwrap_or_default(),
            protocol: owned(candidate, "protocol").unwrap_or_default(),
            kind: owned(candidate, "type").unwrap_or_default(),
            tcptype: owned(candidate, "tcptype"),
        })
    }

    fn to_element(&self) -> Element {
        Element::new("candidate", ns::JINGLE_ICE)
            .with_attr("component", "1")
            .with_attr("foundation", self.foundation.as_str())
            .with_attr("generation", self.generation.to_string())
            .with_attr("id", self.id.as_str())
            .with_attr_opt("ip", self.address.map(|address| address.to_string()))
            .with_attr("network", "0")
            .with_attr("port", self.port.to_string())
            .with_attr("priority", self.priority.to_string())
            .with_attr("protocol", self.protocol.as_str())
            .with_attr_opt("tcptype", self.tcptype.as_deref())
            .with_attr("type", self.kind.as_str())
    }
}
