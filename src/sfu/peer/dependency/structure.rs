//! What frames have in common, told with the first packet of a coded video sequence (A.8.2,
//! `template_dependency_structure`).

use super::bits::Bits;

/// Template ids have six bits.
pub const MAX_TEMPLATES: usize = 64;
/// Decode target indications (table A.1).
pub const ABSENT: u8 = 0;
pub const SWITCH: u8 = 2;
/// AV1 has no more layers than these.
const MAX_SPATIAL: u8 = 3;
const MAX_TEMPORAL: u8 = 7;

/// Where a frame stands, or what a decode target has at the most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    pub spatial: u8,
    pub temporal: u8,
}

/// An indication for each decode target, two bits each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Indications(u64);

#[derive(Debug, PartialEq, Eq)]
pub struct Structure {
    /// The id of the first template.
    offset: u8,
    templates: Vec<Template>,
    /// What each decode target has.
    pub targets: Vec<Layers>,
    pub chains: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Template {
    pub layers: Layers,
    pub indications: Indications,
}

impl Indications {
    /// There are 32 decode targets at the most, since their number has five bits.
    pub fn read(bits: &mut Bits<'_>, targets: usize) -> Option<Indications> {
        let mut all = 0;
        for target in 0..targets {
            all |= u64::from(bits.take(2)?) << (target * 2);
        }
        Some(Indications(all))
    }

    pub fn of(self, target: usize) -> u8 {
        // Two bits.
        (self.0 >> (target * 2) & 3) as u8
    }
}

impl Structure {
    pub fn read(bits: &mut Bits<'_>) -> Option<Structure> {
        // Six bits, and five.
        let offset = bits.take(6)? as u8;
        let count = bits.take(5)? as usize + 1;
        let layers = template_layers(bits)?;
        let mut templates = Vec::with_capacity(layers.len());
        for layers in layers {
            templates.push(Template { layers, indications: Indications::read(bits, count)? });
        }
        for _ in &templates {
            while bits.flag()? {
                bits.take(4)?;
            }
        }
        let chains = chains(bits, count, templates.len())?;
        let targets = target_layers(&templates, count);
        if bits.flag()? {
            let most = templates.iter().map(|template| template.layers.spatial).max()?;
            (0..=most).try_for_each(|_| bits.take(32).map(drop))?;
        }
        Some(Structure { offset, templates, targets, chains })
    }

    pub fn template(&self, id: u8) -> Option<&Template> {
        self.templates.get(usize::from((id + 64 - self.offset) % 64))
    }

    pub fn has_spatial_layers(&self) -> bool {
        self.templates.iter().any(|template| template.layers.spatial > 0)
    }

    /// All decode targets, one bit each.
    pub fn all(&self) -> u32 {
        u32::MAX >> (u32::BITS as usize - self.targets.len())
    }
}

fn template_layers(bits: &mut Bits<'_>) -> Option<Vec<Layers>> {
    let mut all = vec![Layers::default()];
    loop {
        let Layers { spatial, temporal } = *all.last()?;
        let next = match bits.take(2)? {
            0 => Layers { spatial, temporal },
            1 => Layers { spatial, temporal: temporal + 1 },
            2 => Layers { spatial: spatial + 1, temporal: 0 },
            _ => return Some(all),
        };
        if next.spatial > MAX_SPATIAL || next.temporal > MAX_TEMPORAL || all.len() == MAX_TEMPLATES
        {
            return None;
        }
        all.push(next);
    }
}

fn chains(bits: &mut Bits<'_>, targets: usize, templates: usize) -> Option<usize> {
    // 33 at the most.
    let count = bits.one_of(targets as u32 + 1)?;
    if count > 0 {
        (0..targets).try_for_each(|_| bits.one_of(count).map(drop))?;
        (0..templates * count as usize).try_for_each(|_| bits.take(4).map(drop))?;
    }
    Some(count as usize)
}

/// Each has the highest layers of the frames that belong to it.
fn target_layers(templates: &[Template], count: usize) -> Vec<Layers> {
    let of = |target: usize| {
        let belong = templates.iter().filter(|all| all.indications.of(target) != ABSENT);
        belong.fold(Layers::default(), |most, Template { layers, .. }| Layers {
            spatial: most.spatial.max(layers.spatial),
            temporal: most.temporal.max(layers.temporal),
        })
    };
    (0..count).map(of).collect()
}
