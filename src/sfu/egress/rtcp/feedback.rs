//! When the packets of a transport have come
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1).

/// Microseconds.
const REFERENCE_UNIT: i64 = 64_000;
const DELTA_UNIT: i64 = 250;

/// What is said of each packet (section 3.1.1).
const NOT_RECEIVED: u16 = 0;
const SMALL_DELTA: u16 = 1;
const LARGE_DELTA: u16 = 2;

/// The fates of packets whose transport-wide sequence numbers follow each other.
#[derive(Clone, Copy, Debug)]
pub struct Feedback<'a> {
    /// The first sequence number.
    pub base: u16,
    /// When it begins on the receiver's clock, in units of 64 ms; of 24 bits.
    pub reference: i32,
    /// Counts the feedbacks of a receiver: where a number is missing, one was lost.
    pub number: u8,
    count: u16,
    chunks: &'a [[u8; 2]],
    deltas: &'a [u8],
}

impl<'a> Feedback<'a> {
    /// Of what follows the media source; `None` if less is said than is claimed.
    pub(super) fn read(control: &'a [u8]) -> Option<Feedback<'a>> {
        let (&[base_high, base_low, count_high, count_low, a, b, c, number], rest) =
            control.split_first_chunk()?;
        let count = u16::from_be_bytes([count_high, count_low]);
        let mut covered = 0;
        let last = rest.as_chunks::<2>().0.iter().position(|chunk| {
            covered += usize::from(length(u16::from_be_bytes(*chunk)));
            covered >= usize::from(count)
        })?;
        let (chunks, deltas) = rest.split_at(2 * (last + 1));
        Some(Feedback {
            base: u16::from_be_bytes([base_high, base_low]),
            // The sign of 24 bits.
            reference: i32::from_be_bytes([a, b, c, 0]) >> 8,
            number,
            count,
            chunks: chunks.as_chunks().0,
            deltas,
        })
    }

    /// Of how many packets it tells at the most.
    pub fn len(&self) -> usize {
        self.count.into()
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Each sequence number with the time when its packet came, in microseconds of the receiver's
    /// clock, which begins anew every 12 days; `None` if it has not come yet. It ends where what is
    /// said is malformed.
    pub fn fates(&self) -> impl Iterator<Item = (u16, Option<i64>)> + use<'a> {
        let Feedback { base, chunks, mut deltas, .. } = *self;
        let mut clock = i64::from(self.reference) * REFERENCE_UNIT;
        let symbols = chunks.iter().flat_map(|chunk| symbols(u16::from_be_bytes(*chunk)));
        symbols.zip(0..self.count).map_while(move |(symbol, place)| {
            let delta = match symbol {
                NOT_RECEIVED => None,
                SMALL_DELTA => Some(i64::from(*deltas.split_off_first()?)),
                LARGE_DELTA => {
                    let (delta, rest) = deltas.split_first_chunk()?;
                    deltas = rest;
                    Some(i64::from(i16::from_be_bytes(*delta)))
                }
                _ => return None,
            };
            let arrival = delta.map(|delta| {
                clock += delta * DELTA_UNIT;
                clock
            });
            Some((base.wrapping_add(place), arrival))
        })
    }
}

/// Of how many packets a chunk tells: a run, 14 symbols of one bit or 7 of two (sections 3.1.3 and
/// 3.1.4).
fn length(chunk: u16) -> u16 {
    match chunk >> 14 {
        0 | 1 => chunk & 0x1fff,
        2 => 14,
        _ => 7,
    }
}

fn symbols(chunk: u16) -> impl Iterator<Item = u16> {
    (0..length(chunk)).map(move |place| match chunk >> 14 {
        0 | 1 => chunk >> 13 & 3,
        2 => chunk >> (13 - place) & 1,
        _ => chunk >> (12 - 2 * place) & 3,
    })
}

/// Appends a compound packet of such a feedback: of packets from `base` on, when each has come, in
/// microseconds.
#[cfg(test)]
pub(crate) fn write(base: u16, number: u8, arrivals: &[Option<i64>], to: &mut Vec<u8>) {
    let first = arrivals.iter().flatten().next().copied().unwrap_or_default();
    let reference = first.div_euclid(REFERENCE_UNIT);
    let mut clock = reference * REFERENCE_UNIT;
    let mut deltas = Vec::new();
    let mut symbol = |arrival: &Option<i64>| {
        let Some(arrival) = arrival else { return NOT_RECEIVED };
        let delta = (arrival - clock).div_euclid(DELTA_UNIT);
        clock += delta * DELTA_UNIT;
        if let Ok(small) = u8::try_from(delta) {
            deltas.push(small);
            return SMALL_DELTA;
        }
        deltas.extend(i16::try_from(delta).unwrap().to_be_bytes());
        LARGE_DELTA
    };
    let symbols: Vec<u16> = arrivals.iter().map(&mut symbol).collect();
    let mut control = Vec::new();
    control.extend(base.to_be_bytes());
    control.extend(u16::try_from(arrivals.len()).unwrap().to_be_bytes());
    control.extend(&i32::try_from(reference).unwrap().to_be_bytes()[1..]);
    control.push(number);
    for seven in symbols.chunks(7) {
        let places = seven.iter().zip(0u16..);
        let vector =
            places.fold(3 << 14, |chunk, (symbol, place)| chunk | symbol << (12 - 2 * place));
        control.extend(u16::to_be_bytes(vector));
    }
    control.extend(deltas);
    control.resize(control.len().next_multiple_of(4), 0);
    let words = u16::try_from(2 + control.len() / 4).unwrap();
    to.extend([super::VERSION | super::TRANSPORT_WIDE, super::TRANSPORT_FEEDBACK]);
    to.extend(words.to_be_bytes());
    // Whose it is and of which source does not matter.
    to.extend([0; 8]);
    to.extend(control);
}
