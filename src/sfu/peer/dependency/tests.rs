//! Streams as they are in the examples of the specification (A.10.2), and what else may come.

use proptest::prelude::*;

use super::bits::Writer;
use super::*;

/// An indication for each decode target: `S`, `R`, `D` or `-`.
type Row = (&'static [u8], &'static str);

/// How frames depend on each other; the first template has this id.
pub struct Shape {
    pub offset: u32,
    /// Spatial and temporal layer, how far back the frames are that it needs, and the indications, in
    /// the order of layers.
    pub templates: &'static [(u8, u8, Row)],
    /// By which chain each decode target is protected, and the chains' distances for all templates.
    pub chains: (u32, &'static [u32]),
}

/// One spatial layer, three temporal ones: 0 2 1 2.
pub const L1T3: Shape = Shape {
    offset: 0,
    templates: &[
        (0, 0, (&[], "SSS")),
        (0, 0, (&[4], "SSS")),
        (0, 1, (&[2], "-DS")),
        (0, 2, (&[1], "--D")),
        (0, 2, (&[1], "--D")),
    ],
    chains: (1, &[0, 0, 0]),
};

/// Two spatial layers and two temporal ones, of which only pictures that stand alone share anything. The
/// decode targets are S0T0, S0T1, S1T0 and S1T1.
pub const L2T2_KEY: Shape = Shape {
    offset: 60,
    templates: &[
        (0, 0, (&[], "SSSS")),
        (0, 0, (&[4], "SS--")),
        (0, 1, (&[2], "-D--")),
        (1, 0, (&[1], "--SS")),
        (1, 0, (&[4], "--SS")),
        (1, 1, (&[2], "---D")),
    ],
    chains: (2, &[0, 0, 1, 1]),
};

/// The same, but the upper layer always needs the lower one.
pub const L2T2: Shape = Shape {
    offset: 10,
    templates: &[
        (0, 0, (&[], "SSSS")),
        (0, 0, (&[4], "SSRR")),
        (0, 1, (&[2], "-D-R")),
        (1, 0, (&[1], "--SS")),
        (1, 0, (&[4, 1], "--SS")),
        (1, 1, (&[2, 1], "---D")),
    ],
    chains: (2, &[0, 0, 1, 1]),
};

/// What follows its flags.
#[derive(Clone, Copy, Default)]
pub struct More<'a> {
    pub active: Option<u32>,
    pub indications: Option<&'a str>,
    pub differences: Option<&'a [u32]>,
    pub chains: Option<&'a [u32]>,
    pub attaches: bool,
}

impl Shape {
    pub fn targets(&self) -> usize {
        self.templates[0].2.1.len()
    }

    /// The descriptor of a packet that begins and ends a frame, or does not.
    pub fn packet(
        &self,
        edges: (bool, bool),
        template: u32,
        number: u16,
        more: More<'_>,
    ) -> Vec<u8> {
        let mut octets = Vec::new();
        let mut to = Writer::new(&mut octets);
        to.flag(edges.0);
        to.flag(edges.1);
        to.put((self.offset + template) % 64, 6);
        to.put(number.into(), 16);
        let More { active, indications, differences, chains, attaches } = more;
        let flags = [
            attaches,
            active.is_some(),
            indications.is_some(),
            differences.is_some(),
            chains.is_some(),
        ];
        if flags.contains(&true) {
            flags.into_iter().for_each(|flag| to.flag(flag));
        }
        if attaches {
            self.write(&mut to);
        }
        active.into_iter().for_each(|mask| to.put(mask, self.targets()));
        indications.into_iter().for_each(|all| indicate(all, &mut to));
        for difference in differences.into_iter().flatten() {
            to.put(2, 2);
            to.put(difference - 1, 8);
        }
        if differences.is_some() {
            to.put(0, 2);
        }
        chains.into_iter().flatten().for_each(|distance| to.put(*distance, 8));
        octets
    }

    /// A frame in one packet.
    pub fn whole(&self, template: u32, number: u16) -> Vec<u8> {
        self.packet((true, true), template, number, More::default())
    }

    pub fn key(&self, number: u16) -> Vec<u8> {
        self.packet((true, true), 0, number, More { attaches: true, ..More::default() })
    }

    fn write(&self, to: &mut Writer<'_>) {
        to.put(self.offset, 6);
        to.put(self.targets() as u32 - 1, 5);
        for two in self.templates.windows(2) {
            let ((below, before, _), (spatial, temporal, _)) = (two[0], two[1]);
            let next = match (spatial - below, temporal.wrapping_sub(before)) {
                (1, _) => 2,
                (_, next) => next.into(),
            };
            to.put(next, 2);
        }
        to.put(3, 2);
        self.templates.iter().for_each(|(.., (_, indications))| indicate(indications, to));
        for (.., (differences, _)) in self.templates {
            for difference in *differences {
                to.flag(true);
                to.put(u32::from(*difference) - 1, 4);
            }
            to.flag(false);
        }
        let (count, protected) = self.chains;
        put_one_of(to, self.targets() as u32 + 1, count);
        protected.iter().for_each(|chain| put_one_of(to, count, *chain));
        // Distances, which are of no importance here.
        (0..self.templates.len() as u32 * count).for_each(|_| to.put(1, 4));
        // Resolutions.
        to.flag(true);
        for spatial in 0..=self.templates.iter().map(|(spatial, ..)| *spatial).max().unwrap() {
            to.put(319 << spatial, 16);
            to.put(179 << spatial, 16);
        }
    }
}

fn indicate(all: &str, to: &mut Writer<'_>) {
    for indication in all.chars() {
        to.put("-DSR".find(indication).unwrap() as u32, 2);
    }
}

/// A.8.2: `write_ns`.
fn put_one_of(to: &mut Writer<'_>, values: u32, value: u32) {
    let width = u32::BITS - values.leading_zeros();
    let short = (1 << width) - values;
    match value < short {
        true => to.put(value, width as usize - 1),
        false => to.put(value + short, width as usize),
    }
}

fn opened(shape: &Shape) -> Descriptions {
    let mut known = Descriptions::default();
    assert!(known.read(1, &shape.key(7)).unwrap().attaches);
    known
}

fn layers(spatial: u8, temporal: u8) -> Layers {
    Layers { spatial, temporal }
}

#[test]
fn a_stream_is_known_by_its_structure() {
    let shape = &L2T2_KEY;
    let mut known = Descriptions::default();
    assert_eq!(known.read(1, &shape.whole(1, 9)), None, "nothing was said before");
    let first = known.read(2, &shape.key(10)).unwrap();
    assert_eq!((first.number, first.layers, first.all()), (10, layers(0, 0), 0b1111));
    assert_eq!(first.structure.chains, 2);
    let all = [layers(0, 0), layers(0, 1), layers(1, 0), layers(1, 1)];
    assert_eq!(first.structure.targets, all);
    let of = |template| known.clone().read(3, &shape.whole(template, 11)).map(|read| read.layers);
    assert_eq!((of(2), of(3), of(5)), (Some(layers(0, 1)), Some(all[2]), Some(all[3])));
    assert_eq!(of(6), None, "there is no such template");
    assert_eq!(known.read(1, &shape.whole(1, 9)), None, "of what was before");
}

#[test]
fn what_differs_from_the_template_is_read() {
    let mut known = opened(&L2T2);
    let more = More {
        indications: Some("SSSS"),
        differences: Some(&[4, 200]),
        chains: Some(&[4, 3]),
        ..More::default()
    };
    let frame = known.read(2, &L2T2.packet((true, true), 1, 11, more)).unwrap();
    assert!(frame.spatial().opens, "as where the upper layer begins anew");
    let octets = L2T2.packet((true, true), 1, 11, more);
    for cut in 0..octets.len() {
        assert_eq!(known.read(2, &octets[..cut]).is_some(), cut == 3, "{cut}");
    }
}

#[test]
fn temporal_layers() {
    let mut known = opened(&L1T3);
    let mut of = |template| {
        let frame = known.read(2, &L1T3.whole(template, 8)).unwrap();
        (frame.temporal(), frame.spatial())
    };
    let alone = Spatial { id: 0, opens: true, ends: true };
    let temporal = |id, opens| Temporal { id, joins: false, opens };
    assert_eq!(of(1), (temporal(0, true), alone));
    assert_eq!(of(2), (temporal(1, true), alone));
    assert_eq!(of(3).0.id, 2);
    // The base that does not let higher ones begin.
    let more = More { indications: Some("SSR"), ..More::default() };
    let frame = known.read(3, &L1T3.packet((true, false), 1, 9, more)).unwrap();
    assert_eq!((frame.temporal(), frame.spatial().ends), (temporal(0, false), false));
}

#[test]
fn spatial_layers() {
    for shape in [&L2T2_KEY, &L2T2] {
        let mut known = Descriptions::default();
        let spatial = |read: Option<Frame>| read.unwrap().spatial();
        let opens = |id, opens| Spatial { id, opens, ends: true };
        assert_eq!(spatial(known.read(1, &shape.key(1))), opens(0, true));
        assert_eq!(spatial(known.read(2, &shape.whole(3, 2))), opens(1, false));
        assert_eq!(spatial(known.read(3, &shape.whole(1, 3))), opens(0, false));
        // The temporal layers of each spatial one by themselves.
        assert!(known.read(4, &shape.whole(4, 4)).unwrap().temporal().opens);
        assert!(known.read(5, &shape.whole(1, 5)).unwrap().temporal().opens);
    }
}

#[test]
fn layers_that_are_not_sent_keep_nobody_waiting() {
    let mut known = opened(&L2T2);
    let only_low = More { active: Some(0b0011), ..More::default() };
    let told = L2T2.packet((true, true), 1, 9, only_low);
    assert!(known.read(5, &told).unwrap().spatial().opens);
    assert!(known.read(6, &L2T2.whole(1, 11)).unwrap().spatial().opens, "it is kept in mind");
    let both = More { active: Some(0b1111), ..More::default() };
    assert!(!known.read(8, &L2T2.packet((true, true), 1, 13, both)).unwrap().spatial().opens);
    known.read(7, &told).unwrap();
    assert!(!known.read(9, &L2T2.whole(1, 15)).unwrap().spatial().opens, "that came late");
    assert!(known.read(10, &L2T2.key(17)).unwrap().spatial().opens, "anew");
}

/// As it is passed on, and read there.
fn passed(
    known: &mut Descriptions,
    seq: u64,
    octets: &[u8],
    targets: Option<u32>,
) -> (Vec<u8>, Frame) {
    let frame = known.read(seq, octets);
    let mut to = vec![1, 2, 3];
    Described::new(&octets.into(), frame.as_ref(), 0x0102, targets).write(&mut to);
    (to, frame.unwrap())
}

#[test]
fn what_is_passed_on_has_another_number_and_says_what_is_left() {
    let (mut here, mut there) = (Descriptions::default(), Descriptions::default());
    let (key, _) = passed(&mut here, 1, &L2T2.key(500), None);
    assert_eq!(
        there.read(1, &key).unwrap(),
        Frame { number: 0x0102, ..Descriptions::default().read(1, &L2T2.key(500)).unwrap() }
    );
    let (short, _) = passed(&mut here, 2, &L2T2.whole(1, 501), None);
    assert_eq!(short, [0xc0 | 11, 1, 2]);
    let (told, _) = passed(&mut here, 3, &L2T2.whole(1, 502), Some(0b0011));
    // Behind the flags: four decode targets.
    assert_eq!(told, [0xc0 | 11, 1, 2, 0b0100_0001, 0b1000_0000]);
    assert_eq!(there.read(3, &told).unwrap().active, 0b0011);
    let more = More {
        active: Some(0b0110),
        indications: Some("SSSS"),
        differences: Some(&[4]),
        chains: Some(&[4, 3]),
        attaches: true,
    };
    let (told, frame) =
        passed(&mut here, 4, &L2T2.packet((true, false), 0, 503, more), Some(0b0011));
    let read = there.read(4, &told).unwrap();
    assert_eq!(frame.active, 0b0110);
    assert_eq!(read, Frame { number: 0x0102, active: 0b0010, ..frame });
    // What cannot be read passes on as it is.
    let octets: Arc<[u8]> = [0, 9, 9, 9][..].into();
    let mut to = Vec::new();
    Described::new(&octets, None, 0x0102, Some(1)).write(&mut to);
    assert_eq!(to, [0, 1, 2, 9]);
}

#[test]
fn there_are_bounds() {
    let template = |next: &[u32]| {
        let mut octets = Vec::new();
        let mut to = Writer::new(&mut octets);
        to.put(0, 24);
        to.put(0b10000, 5);
        to.put(0, 11);
        next.iter().for_each(|next| to.put(*next, 2));
        to.put(3, 2);
        octets.resize(200, 0);
        Descriptions::default().read(1, &octets).is_some()
    };
    assert!(template(&[2, 2, 2]) && !template(&[2, 2, 2, 2]), "spatial layers");
    assert!(template(&[1; 7]) && !template(&[1; 8]), "temporal layers");
    assert!(template(&[0; 63]) && !template(&[0; 64]), "templates");
}

proptest! {
    #[test]
    fn whatever_comes_is_read_or_refused(
        packets in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..255), any::<u32>(), any::<bool>()), 1..6),
    ) {
        let mut known = opened(&L2T2);
        for (seq, (mut octets, targets, attaches)) in (2..).zip(packets) {
            if let Some(flags) = octets.get_mut(3).filter(|_| attaches) {
                *flags |= 0x80;
            }
            let Some(frame) = known.clone().read(seq, &octets) else { continue };
            let (told, _) = passed(&mut known.clone(), seq, &octets, Some(targets));
            prop_assert!(told.len() <= MAX_LENGTH);
            let again = known.read(seq, &told).unwrap();
            prop_assert!(again.active == frame.active & targets || octets.len() > 250);
            prop_assert_eq!((again.layers, again.indications), (frame.layers, frame.indications));
        }
    }
}
