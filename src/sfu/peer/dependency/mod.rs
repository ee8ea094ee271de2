//! The dependency descriptor: a header extension that says which layer a frame of AV1 is of, and who can
//! go on with it, without a look into the frame (RTP payload format for AV1, appendix A).

mod bits;
mod structure;
#[cfg(test)]
pub mod tests;

use std::sync::Arc;

use self::bits::{Bits, Writer};
use self::structure::{Indications, SWITCH, Structure};
use super::bitstream::{Spatial, Temporal};

pub use structure::Layers;

/// What each descriptor begins with: two flags, the template's id and the number of the frame.
const MANDATORY: usize = 3;
/// Where what the flags of a longer one announce begins, in bits.
const EXTENDED: usize = 29;
/// Elements of a header extension have no more octets.
const MAX_LENGTH: usize = 255;

/// What is known of a stream, whose descriptors refer to what was said before.
#[derive(Clone, Debug, Default)]
pub struct Descriptions(Option<Known>);

#[derive(Clone, Debug)]
struct Known {
    structure: Arc<Structure>,
    /// By which packet it was told.
    since: u64,
    /// The decode targets that are sent, and by which packet that was told.
    active: u32,
    told: u64,
}

/// What the descriptor of a packet says of its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub number: u16,
    pub layers: Layers,
    /// It has what is needed to read those that follow.
    pub attaches: bool,
    /// This is the last packet of the frame.
    ends: bool,
    indications: Indications,
    structure: Arc<Structure>,
    active: u32,
    place: Place,
}

/// Where in a descriptor the active decode targets are, or would be; in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    from: usize,
    until: usize,
    /// Where all ends.
    end: usize,
}

/// A descriptor as it is passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    octets: Arc<[u8]>,
    /// The number that the frame gets.
    number: u16,
    active: Option<Active>,
}

/// What is said of decode targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Active {
    /// One bit each.
    targets: u32,
    count: usize,
    place: Place,
}

impl Descriptions {
    /// `None` if it is malformed, or what it refers to is not known (any more).
    pub fn read(&mut self, seq: u64, octets: &[u8]) -> Option<Frame> {
        let known = self.0.as_ref().filter(|known| known.since <= seq);
        let read = read(octets, known.map(|known| &known.structure))?;
        let Read { frame, told } = read;
        if frame.attaches && self.0.as_ref().is_none_or(|known| known.since < seq) {
            let (structure, active) = (Arc::clone(&frame.structure), frame.active);
            self.0 = Some(Known { structure, since: seq, active, told: seq });
            return Some(frame);
        }
        if frame.attaches {
            return Some(frame);
        }
        let known = self.0.as_mut()?;
        if told && known.told < seq {
            (known.active, known.told) = (frame.active, seq);
        }
        Some(Frame { active: if told { frame.active } else { known.active }, ..frame })
    }
}

struct Read {
    frame: Frame,
    /// It says which decode targets are sent.
    told: bool,
}

fn read(octets: &[u8], known: Option<&Arc<Structure>>) -> Option<Read> {
    let mut bits = Bits::new(octets);
    let (_, ends) = (bits.flag()?, bits.flag()?);
    // Six bits, and sixteen.
    let (template, number) = (bits.take(6)? as u8, bits.take(16)? as u16);
    let mut flags = [false; 5];
    if octets.len() > MANDATORY {
        for flag in &mut flags {
            *flag = bits.flag()?;
        }
    }
    let [attaches, tells, has_indications, has_differences, has_chains] = flags;
    let structure = match attaches {
        true => Arc::new(Structure::read(&mut bits)?),
        false => Arc::clone(known?),
    };
    let from = bits.at;
    let count = structure.targets.len();
    let told = if tells { bits.take(count)? } else { structure.all() };
    let until = bits.at;
    let template = structure.template(template)?;
    let indications = match has_indications {
        true => Indications::read(&mut bits, count)?,
        false => template.indications,
    };
    if has_differences {
        differences(&mut bits)?;
    }
    if has_chains {
        (0..structure.chains).try_for_each(|_| bits.take(8).map(drop))?;
    }
    let frame = Frame {
        number,
        layers: template.layers,
        attaches,
        ends,
        indications,
        active: told,
        place: Place { from, until, end: bits.at },
        structure,
    };
    Some(Read { frame, told: tells })
}

/// Which frames it refers to is of no importance here, but what follows is.
fn differences(bits: &mut Bits<'_>) -> Option<()> {
    loop {
        match bits.take(2)? {
            0 => return Some(()),
            size => bits.take(4 * size as usize)?,
        };
    }
}

impl Frame {
    pub fn temporal(&self) -> Temporal {
        let Layers { spatial, temporal } = self.layers;
        let above = |of: &Layers| of.spatial == spatial && of.temporal > temporal;
        Temporal { id: temporal, joins: false, opens: self.switches(above) }
    }

    pub fn spatial(&self) -> Spatial {
        let opens = match self.structure.has_spatial_layers() {
            true => self.layers.spatial == 0 && self.switches(|_| true),
            false => true,
        };
        Spatial { id: self.layers.spatial, opens, ends: self.ends }
    }

    /// Whether who can decode it can go on with any of these decode targets, as far as they are sent.
    fn switches(&self, which: impl Fn(&Layers) -> bool) -> bool {
        let targets = self.structure.targets.iter().enumerate();
        let mut wanted = targets.filter(|(at, of)| self.active >> at & 1 == 1 && which(of));
        wanted.all(|(at, _)| self.indications.of(at) == SWITCH)
    }

    /// Those of the decode targets of which this is so, one bit each.
    pub fn targets(&self, which: impl Fn(Layers) -> bool) -> u32 {
        let targets = self.structure.targets.iter().enumerate();
        targets.filter(|(_, of)| which(**of)).fold(0, |all, (at, _)| all | 1 << at)
    }

    /// Those that are sent, as far as was said.
    #[cfg(test)]
    pub fn active(&self) -> u32 {
        self.active
    }

    /// All decode targets that there can be.
    pub fn all(&self) -> u32 {
        self.structure.all()
    }
}

/// The number of its frame, which each descriptor has.
pub fn number(octets: &[u8]) -> Option<u16> {
    octets.get(1..MANDATORY).map(|number| u16::from_be_bytes([number[0], number[1]]))
}

impl Described {
    /// `octets` as they came, of a frame that gets another number, and of whose decode targets these
    /// alone are passed on, if that is to be said.
    pub fn new(
        octets: &Arc<[u8]>,
        frame: Option<&Frame>,
        number: u16,
        targets: Option<u32>,
    ) -> Described {
        let active = frame.zip(targets).map(|(frame, targets)| Active {
            targets: frame.active & targets,
            count: frame.structure.targets.len(),
            place: frame.place,
        });
        Described { octets: Arc::clone(octets), number, active }
    }

    pub fn number(&self) -> u16 {
        self.number
    }

    /// Replaces what is in `to`: 255 octets at the most.
    pub fn write(&self, to: &mut Vec<u8>) {
        to.clear();
        if let Some(active) = self.active {
            self.write_active(active, to);
            if to.len() <= MAX_LENGTH {
                return;
            }
        }
        to.clear();
        to.extend_from_slice(&self.octets);
        if let Some(number) = to.get_mut(1..MANDATORY) {
            number.copy_from_slice(&self.number.to_be_bytes());
        }
    }

    fn write_active(&self, active: Active, to: &mut Vec<u8>) {
        let Active { targets, count, place } = active;
        // Of a short one, which has no flags, none is set.
        let flag = |at: usize| Bits::behind(&self.octets, at).flag().unwrap_or(false);
        let mut writer = Writer::new(to);
        writer.copy(&self.octets, 0, 8);
        writer.put(u32::from(self.number), 16);
        writer.flag(flag(24));
        writer.flag(true);
        (26..EXTENDED).for_each(|at| writer.flag(flag(at)));
        writer.copy(&self.octets, EXTENDED, place.from);
        writer.put(targets, count);
        writer.copy(&self.octets, place.until, place.end);
    }
}
