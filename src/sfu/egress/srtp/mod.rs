//! Packets and reports under the keys of a DTLS handshake (RFC 3711, RFC 5764, RFC 7714).

mod cipher;
mod derivation;
mod replay;
#[cfg(test)]
mod tests;

use str0m::crypto::dtls::SrtpProfile;
use str0m::crypto::{CryptoError, CryptoProvider};

use cipher::{Cipher, Session};
use derivation::{MEDIA, REPORTS, masters};
use replay::Replay;

/// The highest extended sequence number (RFC 3711, section 9.2).
const MAX_INDEX: u64 = (1 << 48) - 1;
/// E: what follows the head of a report is encrypted. The other bits are its index (RFC 3711,
/// section 3.4).
const ENCRYPTED: u32 = 1 << 31;
/// Octets of a report that are not encrypted: the header of its first packet, and the sender.
const REPORT_HEAD: usize = 8;

/// Why nothing was sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("no whole header, or one with another sequence number")]
    Header,
    #[error("all indices of these keys are used up")]
    Exhausted,
    #[error("the cipher failed: {0}")]
    Cipher(#[from] CryptoError),
}

/// Both directions of a transport. `material` is what the handshake exports for this profile
/// (RFC 5764, section 4.2); `None` if it has another length, or the profile is unknown.
pub fn keys(
    crypto: &CryptoProvider,
    profile: SrtpProfile,
    material: &[u8],
    is_client: bool,
) -> Option<(Sealer, Opener)> {
    let [client, server] = masters(crypto, profile, material)?;
    let (ours, theirs) = if is_client { (client, server) } else { (server, client) };
    let sealer =
        Sealer { media: ours.session(MEDIA)?, reports: ours.session(REPORTS)?, next_report: 0 };
    let opener = Opener { reports: theirs.session(REPORTS)?, replay: Replay::default() };
    Some((sealer, opener))
}

/// Seals what we send.
pub struct Sealer {
    media: Session,
    reports: Session,
    next_report: u32,
}

impl Sealer {
    /// Appends a sealed packet. `header` is all that stands before the payload, extensions too:
    /// it is authenticated. `index` is the extended sequence number (RFC 3711, section 3.3.1).
    ///
    /// A source must not use an index again, unless for the very same packet: two packets under
    /// one index give away what they say and how to forge others (RFC 7714, section 8.4).
    pub fn packet(
        &mut self,
        header: &[u8],
        payload: &[u8],
        index: u64,
        to: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        let Some(&[_, _, high, low, _, _, _, _, a, b, c, d]) = header.first_chunk() else {
            return Err(SealError::Header);
        };
        if u64::from(u16::from_be_bytes([high, low])) != index & 0xffff {
            return Err(SealError::Header);
        }
        if index > MAX_INDEX {
            return Err(SealError::Exhausted);
        }
        let start = to.len();
        let source = u32::from_be_bytes([a, b, c, d]);
        let sealed = seal_packet(&mut self.media, header, payload, (source, index), to);
        Ok(sealed.inspect_err(|_| to.truncate(start))?)
    }

    /// Appends a sealed compound packet of RTCP. Its index counts the reports of all sources.
    pub fn report(&mut self, compound: &[u8], to: &mut Vec<u8>) -> Result<(), SealError> {
        let Some((head, text)) = compound.split_first_chunk() else {
            return Err(SealError::Header);
        };
        let index = self.next_report;
        if index >= ENCRYPTED {
            return Err(SealError::Exhausted);
        }
        // An index that may have been used is not used again.
        self.next_report += 1;
        let start = to.len();
        let sealed = seal_report(&mut self.reports, head, text, index, to);
        Ok(sealed.inspect_err(|_| to.truncate(start))?)
    }

    /// Octets that sealing adds to a packet.
    pub fn overhead(&self) -> usize {
        match self.media.cipher {
            Cipher::Aead(_) => cipher::AEAD_TAG,
            Cipher::Counter(_) => cipher::COUNTER_TAG,
        }
    }
}

/// RFC 3711, section 3.1; RFC 7714, section 8.2.
fn seal_packet(
    keys: &mut Session,
    header: &[u8],
    payload: &[u8],
    (source, index): (u32, u64),
    to: &mut Vec<u8>,
) -> Result<(), CryptoError> {
    let unique = keys.unique(source, index);
    let start = to.len();
    to.extend_from_slice(header);
    match &mut keys.cipher {
        Cipher::Aead(aead) => aead.seal(unique, header, payload, to),
        Cipher::Counter(counter) => {
            counter.apply(unique, payload, to)?;
            let [_, _, rollovers @ .., _, _] = index.to_be_bytes();
            let tag = counter.tag(&[&to[start..], &rollovers]);
            to.extend_from_slice(&tag);
            Ok(())
        }
    }
}

/// RFC 3711, section 3.4; RFC 7714, section 9.2.
fn seal_report(
    keys: &mut Session,
    head: &[u8; REPORT_HEAD],
    text: &[u8],
    index: u32,
    to: &mut Vec<u8>,
) -> Result<(), CryptoError> {
    let unique = keys.unique(sender(head), index.into());
    let trailer = (ENCRYPTED | index).to_be_bytes();
    let start = to.len();
    to.extend_from_slice(head);
    match &mut keys.cipher {
        Cipher::Aead(aead) => {
            aead.seal(unique, &authenticated(head, &trailer), text, to)?;
            to.extend_from_slice(&trailer);
        }
        Cipher::Counter(counter) => {
            counter.apply(unique, text, to)?;
            to.extend_from_slice(&trailer);
            let tag = counter.tag(&[&to[start..]]);
            to.extend_from_slice(&tag);
        }
    }
    Ok(())
}

/// Opens the reports that come.
pub struct Opener {
    reports: Session,
    replay: Replay,
}

impl Opener {
    /// What a sealed compound packet of RTCP says; `None` unless it is encrypted, genuine and new
    /// (RFC 3711, section 3.3.2).
    pub fn report(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let (head, rest) = packet.split_first_chunk()?;
        let (rest, tag) = match self.reports.cipher {
            Cipher::Aead(_) => (rest, [].as_slice()),
            Cipher::Counter(_) => {
                rest.split_at_checked(rest.len().checked_sub(cipher::COUNTER_TAG)?)?
            }
        };
        let (sealed, trailer) = rest.split_last_chunk()?;
        let source = sender(head);
        // Without E it is sent in the clear, which no profile of DTLS allows for.
        let index = u32::from_be_bytes(*trailer).checked_sub(ENCRYPTED)?;
        if !self.replay.is_new(source, index) {
            return None;
        }
        let unique = self.reports.unique(source, index.into());
        let mut opened = head.to_vec();
        match &mut self.reports.cipher {
            Cipher::Aead(aead) => {
                aead.open(unique, &authenticated(head, trailer), sealed, &mut opened)?;
            }
            Cipher::Counter(counter) => {
                let said = packet.get(..packet.len() - tag.len())?;
                if !counter.is_genuine(said, tag) {
                    return None;
                }
                counter.apply(unique, sealed, &mut opened).ok()?;
            }
        }
        self.replay.note(source, index);
        Some(opened)
    }
}

/// The first sender of a compound packet, whose index counts.
fn sender(&[.., a, b, c, d]: &[u8; REPORT_HEAD]) -> u32 {
    u32::from_be_bytes([a, b, c, d])
}

/// What of a report is authenticated without being encrypted (RFC 7714, section 9.2).
fn authenticated(head: &[u8; REPORT_HEAD], trailer: &[u8; 4]) -> [u8; REPORT_HEAD + 4] {
    let mut all = [0; REPORT_HEAD + 4];
    all[..REPORT_HEAD].copy_from_slice(head);
    all[REPORT_HEAD..].copy_from_slice(trailer);
    all
}
