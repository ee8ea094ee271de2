use str0m::crypto::dtls::SrtpProfile;

use super::*;
use crate::api::{Codec, ConferenceId, Credentials, Data, Fingerprint, LegId};
use crate::peer::Marks;
use crate::peer::webrtc::Identity;

const SOURCE: u32 = 1000;
const RTX: u32 = 1001;

/// The two ends of a leg on which one picture is sent.
struct World {
    egress: Egress,
    client: (Sealer, Opener),
    now: Instant,
}

fn spec() -> LegSpec {
    let nobody = Credentials { ufrag: String::new(), password: String::new() };
    LegSpec {
        leg: LegId(0),
        conference: ConferenceId(0),
        local: nobody.clone(),
        remote: nobody,
        fingerprint: Fingerprint { hash: String::new(), bytes: Vec::new() },
        dtls_client: false,
        controlling: false,
        payloads: vec![Payload { pt: 96, rtx: Some(97), codec: Codec::Vp8 }],
        extensions: Vec::new(),
        tracks: Vec::new(),
        outputs: Vec::new(),
        data: Data::Off,
    }
}

fn path(port: u16) -> Path {
    let source = SocketAddr::from(([192, 0, 2, 1], 10_000));
    let destination = SocketAddr::from(([198, 51, 100, 1], port));
    Path { transport: Transport::Udp, source, destination }
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "the beginning of virtual time")]
    fn new() -> World {
        let now = Instant::now();
        let crypto = Identity::generate(now).unwrap().crypto();
        let keys = |is_client| {
            srtp::keys(&crypto, SrtpProfile::AEAD_AES_128_GCM, &[7; 56], is_client).unwrap()
        };
        let mut egress = Egress::new(&spec(), WallClock::start(now), false, now);
        let mid = Mid::new("v").unwrap();
        assert!(egress.add(SOURCE, Some(RTX), Media::Video, mid, None));
        egress.secure(keys(false));
        egress.lead(path(1));
        World { egress, client: keys(true), now }
    }

    fn write(&mut self, seq: u64, size: usize) {
        self.egress.write(Sending {
            source: SOURCE,
            pt: 96,
            seq,
            timestamp: 90 * seq as u32,
            marker: true,
            marks: Marks::default(),
            arrived: self.now,
            payload: vec![1; size].into(),
            vp8: None,
            described: None,
        });
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.egress.tick(self.now);
    }

    fn sent(&mut self) -> Vec<Outgoing> {
        let polled = std::iter::from_fn(|| self.egress.poll());
        polled
            .filter_map(|polled| match polled {
                Polled::Send(outgoing) => Some(outgoing),
                _ => None,
            })
            .collect()
    }

    /// The client says this.
    fn report(&mut self, compound: &[u8]) {
        let mut sealed = Vec::new();
        self.client.0.report(compound, &mut sealed).unwrap();
        self.egress.receive(&sealed, self.now);
    }
}

/// Payload type, number and source.
fn read(datagram: &[u8]) -> (u8, u16, u32) {
    let number = u16::from_be_bytes([datagram[2], datagram[3]]);
    let source = u32::from_be_bytes(datagram[8..12].try_into().unwrap());
    (datagram[1] & 0x7f, number, source)
}

fn numbers(sent: &[Outgoing]) -> Vec<(u8, u16, u32)> {
    sent.iter().flat_map(|outgoing| outgoing.datagrams().map(read)).collect()
}

/// PLI or, with a bit mask, NACK.
fn feedback(kind: u8, format: u8, lost: &[u16]) -> Vec<u8> {
    let mut packet = vec![0x80 | format, kind, 0, 2 + lost.len() as u8 / 2];
    packet.extend([0, 0, 0, 9]);
    packet.extend(SOURCE.to_be_bytes());
    packet.extend(lost.iter().flat_map(|half| half.to_be_bytes()));
    packet
}

#[test]
fn what_is_written_together_leaves_together() {
    let mut world = World::new();
    for (seq, size) in [(5, 500), (6, 500), (7, 200), (8, 500)] {
        world.write(seq, size);
    }
    let sent = world.sent();
    assert_eq!(sent.iter().map(|train| train.datagrams().len()).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(sent[0].segment, 12 + 500 + 16);
    assert_eq!(numbers(&sent), [5, 6, 7, 8].map(|number| (96, number, SOURCE)));
    assert_eq!(world.egress.octets(), 1700);
}

#[test]
fn nothing_leaves_without_keys_or_a_way() {
    let mut world = World::new();
    world.egress.seals = None;
    world.write(5, 100);
    assert!(world.sent().is_empty());
    let mut world = World::new();
    world.egress.path = None;
    world.write(5, 100);
    world.egress.lead(path(1));
    assert!(world.sent().is_empty());
    world.write(6, 100);
    world.egress.lead(path(2));
    assert_eq!(world.sent()[0].destination, path(2).destination);
}

#[test]
fn no_number_is_used_twice_under_one_key() {
    let mut world = World::new();
    world.write(5, 100);
    world.write(5, 200);
    assert_eq!(numbers(&world.sent()).len(), 1);
    world.egress.remove(SOURCE);
    let mid = Mid::new("w").unwrap();
    assert!(!world.egress.add(SOURCE, None, Media::Video, mid.clone(), None));
    assert!(!world.egress.add(RTX, None, Media::Video, mid.clone(), None));
    assert!(!world.egress.add(7, Some(RTX), Media::Video, mid.clone(), None));
    assert!(world.egress.add(7, Some(8), Media::Video, mid, None));
}

#[test]
fn what_is_missed_is_sent_again_under_another_number() {
    let mut world = World::new();
    (5..9).for_each(|seq| world.write(seq, 300));
    world.sent();
    world.wait(Duration::from_millis(50));
    // 6, and of the mask 8; nobody has sent 9.
    let nack = feedback(205, 1, &[6, 0b110]);
    world.report(&nack);
    let sent = world.sent();
    assert_eq!(numbers(&sent), [(97, 1, RTX), (97, 2, RTX)]);
    // With the number of what they repeat (RFC 4588, section 4).
    assert_eq!(sent[0].segment, 12 + 2 + 300 + 16);
    world.report(&nack);
    assert!(world.sent().is_empty(), "they are on their way");
}

#[test]
fn a_report_that_is_not_genuine_says_nothing() {
    let mut world = World::new();
    let mut sealed = Vec::new();
    world.client.0.report(&feedback(206, 1, &[]), &mut sealed).unwrap();
    let mut forged = sealed.clone();
    forged[9] ^= 1;
    world.egress.receive(&forged, world.now);
    assert!(world.egress.poll().is_none());
    world.egress.receive(&sealed, world.now);
    assert!(matches!(world.egress.poll(), Some(Polled::KeyframeWanted(SOURCE))));
    world.egress.receive(&sealed, world.now);
    assert!(world.egress.poll().is_none(), "a replay");
}

#[test]
fn a_keyframe_is_wanted_once_however_often_it_is_said() {
    let mut world = World::new();
    (0..3).for_each(|_| world.report(&feedback(206, 1, &[])));
    assert!(matches!(world.egress.poll(), Some(Polled::KeyframeWanted(SOURCE))));
    assert!(world.egress.poll().is_none());
}

#[test]
fn receivers_are_told_what_was_sent_and_tell_how_it_came() {
    let mut world = World::new();
    world.wait(REPORT_EVERY);
    assert!(world.sent().is_empty(), "there is nothing to be told");
    world.write(5, 300);
    world.write(6, 300);
    world.sent();
    world.wait(REPORT_EVERY);
    let sent = world.sent();
    let told = world.client.1.report(&sent[0].contents).unwrap();
    assert_eq!((sent.len(), told[1]), (1, 200));
    let word = |place: usize| u32::from_be_bytes(told[place * 4..][..4].try_into().unwrap());
    // A second after the last packet, of 90 kHz; packets and octets.
    assert_eq!((word(1), word(4), word(5), word(6)), (SOURCE, 90 * 6 + 90_000, 2, 600));

    world.wait(Duration::from_millis(500));
    assert!(world.sent().is_empty());
    // A quarter is lost; the report came 250 ms ago.
    let middle = word(2) << 16 | word(3) >> 16;
    let words = [SOURCE, 64 << 24, 6, 900, middle, 1 << 14];
    let report: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    world.report(&[&[0x81, 201, 0, 7, 0, 0, 0, 9][..], &report].concat());
    let taken = world.egress.round_trip().unwrap();
    assert!(taken.abs_diff(Duration::from_millis(250)) < Duration::from_millis(1), "{taken:?}");
    let flow = world.egress.flow();
    assert_eq!((flow.loss, flow.jitter), (Some(0.25), Some(Duration::from_millis(10))));
}
