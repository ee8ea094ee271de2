use std::f32::consts::TAU;

use ropus::{Application, Channels, DecodeMode, Decoder, Encoder};

use super::sound::{RATE, SAMPLES};
use super::*;
use crate::peer::Marks;

const JULIET: f32 = 440.0;
const ROMEO: f32 = 1000.0;
const NURSE: f32 = 2500.0;

/// Somebody who hums one tone.
struct Singer {
    id: u64,
    tone: f32,
    encoder: Encoder,
    seq: u64,
}

impl Singer {
    fn new(id: u64, tone: f32) -> Singer {
        let encoder = Encoder::builder(RATE, Channels::Mono, Application::Audio).build().unwrap();
        Singer { id, tone, encoder, seq: 0 }
    }

    fn sing(&mut self, loudness: f32, now: Instant) -> (LegId, Packet) {
        let begin = self.seq * SAMPLES as u64;
        let sample = |place: usize| {
            let at = (begin + place as u64) as f32 / RATE as f32;
            ((TAU * self.tone * at).sin() * loudness * 32_767.0) as i16
        };
        let pcm: Frame = std::array::from_fn(sample);
        let mut payload = vec![0; 1275];
        let length = self.encoder.encode(&pcm, &mut payload).unwrap();
        payload.truncate(length);
        self.seq += 1;
        let packet = Packet {
            track: TrackId(self.id),
            layer: 0,
            pt: 111,
            seq: self.seq,
            timestamp: (self.seq * SAMPLES as u64) as u32,
            marker: false,
            marks: Marks::default(),
            arrived: now,
            captured: None,
            payload: payload.into(),
            descriptor: None,
        };
        (LegId(self.id), packet)
    }
}

/// What a listener hears.
struct Ear {
    track: TrackId,
    decoder: Decoder,
    packets: Vec<Packet>,
    heard: Vec<i16>,
}

/// A mixer, those who sing and those who listen, in virtual time.
struct Choir {
    mixer: Mixer,
    singers: Vec<Singer>,
    ears: Vec<Ear>,
    now: Instant,
}

impl Choir {
    #[expect(clippy::disallowed_methods, reason = "the beginning of virtual time")]
    fn new(tones: &[f32]) -> Choir {
        let singers = tones.iter().enumerate().map(|(id, tone)| Singer::new(id as u64, *tone));
        let (singers, now) = (singers.collect(), Instant::now());
        Choir { mixer: Mixer::default(), singers, ears: Vec::new(), now }
    }

    /// Somebody listens, and hears all but himself.
    fn listen(&mut self, who: u64) {
        let track = TrackId(100 + who);
        self.mixer.add(track, LegId(who), self.now);
        let decoder = Decoder::new(RATE, Channels::Mono).unwrap();
        self.ears.push(Ear { track, decoder, packets: Vec::new(), heard: Vec::new() });
    }

    /// `gets_through`: whether the packet with this number of a singer does.
    fn sing(&mut self, frames: u64, loudness: f32, gets_through: impl Fn(u64, u64) -> bool) {
        for _ in 0..frames {
            self.now += FRAME;
            for singer in &mut self.singers {
                let (leg, packet) = singer.sing(loudness, self.now);
                if gets_through(leg.0, packet.seq) {
                    self.mixer.handle_packet(leg, &packet);
                }
            }
            self.hear();
        }
    }

    fn pause(&mut self, frames: u64) {
        for _ in 0..frames {
            self.now += FRAME;
            self.hear();
        }
    }

    fn hear(&mut self) {
        for packet in self.mixer.handle_timeout(self.now) {
            let ear = self.ears.iter_mut().find(|ear| ear.track == packet.track).unwrap();
            let mut samples = [0; SAMPLES];
            let count = ear.decoder.decode(&packet.payload, &mut samples, DecodeMode::Normal);
            ear.heard.extend(&samples[..count.unwrap()]);
            ear.packets.push(packet);
        }
    }

    /// How much of a tone somebody has heard in the last half second; a tone of full scale is 1.
    fn hears(&self, ear: usize, tone: f32) -> f32 {
        let heard = &self.ears[ear].heard;
        goertzel(&heard[heard.len() - RATE as usize / 2..], tone)
    }
}

/// The amplitude of a frequency.
fn goertzel(samples: &[i16], frequency: f32) -> f32 {
    let turn = 2.0 * (TAU * frequency / RATE as f32).cos();
    let (mut last, mut before) = (0.0_f32, 0.0_f32);
    for sample in samples {
        let next = f32::from(*sample) / 32_767.0 + turn * last - before;
        (before, last) = (last, next);
    }
    let power = last * last + before * before - turn * last * before;
    2.0 * power.max(0.0).sqrt() / samples.len() as f32
}

fn all(_: u64, _: u64) -> bool {
    true
}

#[test]
fn everybody_hears_the_others_and_not_himself() {
    let mut choir = Choir::new(&[JULIET, ROMEO, NURSE]);
    choir.listen(0);
    choir.listen(9);
    choir.sing(75, 0.2, all);
    for (tone, who) in [(JULIET, false), (ROMEO, true), (NURSE, true)] {
        let level = choir.hears(0, tone);
        assert_eq!(level > 0.1, who, "{tone}: {level}");
        assert!(who || level < 0.01, "{tone}: {level}");
        assert!(choir.hears(1, tone) > 0.1);
    }
    // The numbers of a stream: nothing is missing in it.
    let packets = &choir.ears[0].packets;
    for two in packets.windows(2) {
        assert_eq!(two[1].seq, two[0].seq + 1);
        assert_eq!(two[1].timestamp - two[0].timestamp, SAMPLES as u32);
    }
}

#[test]
fn only_the_loudest_are_mixed() {
    let tones = [300.0, 500.0, 800.0, 1300.0, 2100.0];
    let mut choir = Choir::new(&tones);
    choir.listen(9);
    // The last one is the quietest.
    for _ in 0..75 {
        choir.now += FRAME;
        for (place, singer) in choir.singers.iter_mut().enumerate() {
            let loudness = if place == 4 { 0.02 } else { 0.15 };
            let (leg, packet) = singer.sing(loudness, choir.now);
            choir.mixer.handle_packet(leg, &packet);
        }
        choir.hear();
    }
    for tone in &tones[..4] {
        assert!(choir.hears(0, *tone) > 0.08, "{tone}: {}", choir.hears(0, *tone));
    }
    assert!(choir.hears(0, tones[4]) < 0.005, "{}", choir.hears(0, tones[4]));
}

#[test]
fn what_is_too_loud_together_is_bounded() {
    let mut choir = Choir::new(&[JULIET, ROMEO, NURSE]);
    choir.listen(9);
    choir.sing(75, 0.9, all);
    // Three of them would be cut off most of the time: that would be heard as other tones.
    for tone in [JULIET, ROMEO, NURSE] {
        assert!(choir.hears(0, tone) > 0.25, "{tone}: {}", choir.hears(0, tone));
    }
}

#[test]
fn silence_is_hardly_sent() {
    let mut choir = Choir::new(&[JULIET]);
    choir.listen(9);
    choir.sing(50, 0.3, all);
    choir.pause(50);
    let before = choir.ears[0].packets.len();
    choir.pause(250);
    let during = choir.ears[0].packets.len() - before;
    assert!(during < 20, "{during} packets in five seconds");
    // Time has gone on, and the first one after the pause says that it is.
    choir.sing(50, 0.3, all);
    assert!(choir.hears(0, JULIET) > 0.15);
    let packets = &choir.ears[0].packets;
    let begun = packets.iter().rposition(|packet| packet.marker).unwrap();
    assert!(packets[begun].timestamp - packets[begun - 1].timestamp > SAMPLES as u32);
    assert_eq!(packets[begun].seq, packets[begun - 1].seq + 1);
}

#[test]
fn losses_are_made_up() {
    let mut choir = Choir::new(&[JULIET]);
    choir.listen(9);
    choir.sing(100, 0.3, |_, seq| seq % 10 != 0);
    assert!(choir.hears(0, JULIET) > 0.2, "{}", choir.hears(0, JULIET));
    // No frame is missing: each of them has its place in time.
    let packets = &choir.ears[0].packets;
    assert!(packets.len() >= 95, "{}", packets.len());
}

#[test]
fn packets_may_come_late_and_in_another_order() {
    let mut choir = Choir::new(&[JULIET]);
    choir.listen(9);
    let mut held: Vec<(LegId, Packet)> = Vec::new();
    for frame in 0..100 {
        choir.now += FRAME;
        held.push(choir.singers[0].sing(0.3, choir.now));
        // Two at a time, the later one first.
        if frame % 2 == 1 {
            for (leg, packet) in held.drain(..).rev() {
                choir.mixer.handle_packet(leg, &packet);
            }
        }
        choir.hear();
    }
    assert!(choir.hears(0, JULIET) > 0.25, "{}", choir.hears(0, JULIET));
}

#[test]
fn garbage_is_silence() {
    let mut choir = Choir::new(&[JULIET]);
    choir.listen(9);
    for seq in 0..200_u64 {
        choir.now += FRAME;
        let (leg, mut packet) = choir.singers[0].sing(0.3, choir.now);
        let noise = (0..40).map(|place| (seq * 31 + place * 7 + seq * place) as u8);
        packet.payload = noise.collect();
        choir.mixer.handle_packet(leg, &packet);
        choir.hear();
    }
    choir.sing(100, 0.3, all);
    assert!(choir.hears(0, JULIET) > 0.2, "{}", choir.hears(0, JULIET));
}

#[test]
fn it_ends_with_the_last_listener() {
    let mut choir = Choir::new(&[JULIET]);
    assert!(choir.mixer.is_idle() && choir.mixer.poll_timeout().is_none());
    choir.listen(9);
    assert!(!choir.mixer.is_idle() && choir.mixer.poll_timeout().is_some());
    let track = choir.ears[0].track;
    choir.mixer.forget(track);
    assert!(choir.mixer.is_idle());
}
