//! What receivers say of what they get, and what they are told of it in turn: RTCP (RFC 3550,
//! section 6) with the feedback of RFC 4585 and RFC 5104.

mod feedback;
#[cfg(test)]
mod tests;

pub use feedback::Feedback;
#[cfg(test)]
pub(crate) use feedback::write as write_feedback;

/// Packet types (RFC 3550, section 12.1; RFC 4585, section 6.1).
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const DESCRIPTION: u8 = 202;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
/// Formats of feedback (RFC 4585, sections 6.2 and 6.3; RFC 5104, section 4.3.1;
/// draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1).
const NACK: u8 = 1;
const TRANSPORT_WIDE: u8 = 15;
const PICTURE_LOSS: u8 = 1;
const FULL_INTRA_REQUEST: u8 = 4;

/// RTP's version 2, in the two highest bits.
const VERSION: u8 = 2 << 6;
const HEADER: usize = 4;
/// The octets of senders' reports between the sender and the blocks.
const SENDER_INFO: usize = 20;
/// Fates that one compound packet may tell of: those of a quarter of a second in which 32 000
/// packets a second come. A few octets can claim a whole round of sequence numbers.
const MAX_FATES: usize = 8192;

/// One thing that a receiver says.
#[derive(Clone, Debug)]
pub enum Item<'a> {
    Reception(Reception),
    /// Packets are missing (RFC 4585, section 6.2.1).
    Nack {
        source: u32,
        lost: Lost<'a>,
    },
    /// A picture that stands alone is needed: PLI or FIR.
    KeyframeWanted {
        source: u32,
    },
    /// When each packet of the transport has come.
    Transport(Feedback<'a>),
}

/// What a compound packet says, up to where it is malformed. Of what is not in `Item` nothing is
/// told.
pub fn items(compound: &[u8]) -> impl Iterator<Item = Item<'_>> {
    let mut fates = MAX_FATES;
    packets(compound).flat_map(Packet::items).take_while(move |item| {
        let Item::Transport(feedback) = item else { return true };
        let left = fates.checked_sub(feedback.len());
        fates = left.unwrap_or_default();
        left.is_some()
    })
}

/// One of the packets that a compound packet is made of.
struct Packet<'a> {
    kind: u8,
    /// How many blocks follow, or the format of feedback.
    count: u8,
    body: &'a [u8],
}

/// RFC 3550, section 6.4.1.
fn packets(compound: &[u8]) -> impl Iterator<Item = Packet<'_>> {
    let mut rest = compound;
    std::iter::from_fn(move || {
        let &[first, kind, high, low] = rest.first_chunk()?;
        let words = usize::from(u16::from_be_bytes([high, low]));
        let (packet, after) = rest.split_at_checked(HEADER + 4 * words)?;
        if first & 0xc0 != VERSION {
            return None;
        }
        let body = &packet[HEADER..];
        let padding = match first & 0x20 {
            0 => 0,
            _ => usize::from(*body.last()?),
        };
        rest = after;
        let body = body.get(..body.len().checked_sub(padding)?)?;
        Some(Packet { kind, count: first & 0x1f, body })
    })
}

impl<'a> Packet<'a> {
    /// All three are empty but for the one that its type is of.
    fn items(self) -> impl Iterator<Item = Item<'a>> {
        let receptions = self.receptions().iter().map(Reception::read).map(Item::Reception);
        let refreshes =
            self.refreshes().iter().map(|&[a, b, c, d, ..]| u32::from_be_bytes([a, b, c, d]));
        let refreshes = refreshes.map(|source| Item::KeyframeWanted { source });
        receptions.chain(refreshes).chain(self.single())
    }

    /// The blocks of a report.
    fn receptions(&self) -> &'a [[u8; Reception::OCTETS]] {
        let start = match self.kind {
            SENDER_REPORT => 4 + SENDER_INFO,
            RECEIVER_REPORT => 4,
            _ => return &[],
        };
        let (blocks, _) = self.body.get(start..).unwrap_or_default().as_chunks();
        &blocks[..blocks.len().min(self.count.into())]
    }

    /// The entries of a FIR (RFC 5104, section 4.3.1.1), which names its sources in them alone.
    fn refreshes(&self) -> &'a [[u8; 8]] {
        match (self.kind, self.count) {
            (PAYLOAD_FEEDBACK, FULL_INTRA_REQUEST) => {
                self.body.get(8..).unwrap_or_default().as_chunks().0
            }
            _ => &[],
        }
    }

    /// What there is one of in a packet.
    fn single(&self) -> Option<Item<'a>> {
        let (&[_, _, _, _, a, b, c, d], control) = self.body.split_first_chunk()?;
        let source = u32::from_be_bytes([a, b, c, d]);
        match (self.kind, self.count) {
            (TRANSPORT_FEEDBACK, NACK) => {
                let entries = control.as_chunks().0.iter();
                Some(Item::Nack { source, lost: Lost { entries, first: 0, bits: 0 } })
            }
            (TRANSPORT_FEEDBACK, TRANSPORT_WIDE) => Feedback::read(control).map(Item::Transport),
            (PAYLOAD_FEEDBACK, PICTURE_LOSS) => Some(Item::KeyframeWanted { source }),
            _ => None,
        }
    }
}

/// What one receiver has got of one source (RFC 3550, section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reception {
    pub source: u32,
    /// Of the packets since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets, of 24 bits; negative where more have come than were sent.
    pub lost: i32,
    /// The highest sequence number, after the number of rounds in 16 bits.
    pub highest: u32,
    /// In units of the timestamps.
    pub jitter: u32,
    /// The middle 32 bits of the NTP time of the last sender's report that has come; 0 for none.
    pub last_report: u32,
    /// Since that came, in 1/65536 s.
    pub delay: u32,
}

impl Reception {
    const OCTETS: usize = 24;

    fn read(block: &[u8; Reception::OCTETS]) -> Reception {
        let (words, _) = block.as_chunks::<4>();
        let word = |place: usize| u32::from_be_bytes(words[place]);
        Reception {
            source: word(0),
            fraction_lost: block[4],
            // The sign of 24 bits.
            lost: (word(1) << 8).cast_signed() >> 8,
            highest: word(2),
            jitter: word(3),
            last_report: word(4),
            delay: word(5),
        }
    }
}

/// The sequence numbers of what is missing: 17 at most for each 4 octets.
#[derive(Clone, Debug)]
pub struct Lost<'a> {
    entries: std::slice::Iter<'a, [u8; 4]>,
    first: u16,
    /// What is left of the entry: the lowest bit is the first number.
    bits: u32,
}

impl Iterator for Lost<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if self.bits == 0 {
            let &[a, b, c, d] = self.entries.next()?;
            self.first = u16::from_be_bytes([a, b]);
            self.bits = u32::from(u16::from_be_bytes([c, d])) << 1 | 1;
        }
        let place = self.bits.trailing_zeros();
        self.bits &= self.bits - 1;
        Some(self.first.wrapping_add(place as u16))
    }
}

/// What a source has sent (RFC 3550, section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderReport {
    pub source: u32,
    /// Seconds since 1900, of 32 bits before and 32 behind the point, and the same time as RTP's.
    pub ntp: u64,
    pub timestamp: u32,
    /// Since the source began, and the octets of their payloads.
    pub packets: u32,
    pub octets: u32,
}

impl SenderReport {
    /// Appends a compound packet: the report, and the name that the source has in common with
    /// others (RFC 3550, section 6.1), of which 255 octets count at most.
    pub fn write(&self, cname: &str, to: &mut Vec<u8>) {
        to.extend([VERSION, SENDER_REPORT]);
        to.extend(6u16.to_be_bytes());
        to.extend(self.source.to_be_bytes());
        to.extend(self.ntp.to_be_bytes());
        for word in [self.timestamp, self.packets, self.octets] {
            to.extend(word.to_be_bytes());
        }
        self.write_description(&cname.as_bytes()[..cname.len().min(255)], to);
    }

    /// RFC 3550, sections 6.5 and 6.5.1: the items end with a zero, and with a word.
    fn write_description(&self, cname: &[u8], to: &mut Vec<u8>) {
        const CNAME: u8 = 1;
        let words = 1 + (2 + cname.len()) / 4 + 1;
        to.extend([VERSION | 1, DESCRIPTION]);
        to.extend((words as u16).to_be_bytes());
        let start = to.len();
        to.extend(self.source.to_be_bytes());
        to.extend([CNAME, cname.len() as u8]);
        to.extend_from_slice(cname);
        to.resize(start + 4 * words, 0);
    }
}
