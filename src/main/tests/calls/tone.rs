//! Tones in Opus: what is mixed can be told apart.

use std::f32::consts::TAU;

use ropus::{Application, Channels, DecodeMode, Decoder, Encoder};

use crate::peer::Payloads;

const RATE: u32 = 48_000;
/// 20 ms.
const SAMPLES: usize = 960;

/// A tone that goes on.
pub fn hum(tone: f32) -> Payloads {
    let mut encoder = Encoder::builder(RATE, Channels::Mono, Application::Audio).build().unwrap();
    let mut at = 0_u32;
    Box::new(move || {
        let pcm: [i16; SAMPLES] = std::array::from_fn(|place| {
            let time = (at + place as u32) as f32 / RATE as f32;
            ((TAU * tone * time).sin() * 8000.0) as i16
        });
        // A whole second later it is the same again.
        at = (at + SAMPLES as u32) % RATE;
        let mut payload = vec![0; 1275];
        let length = encoder.encode(&pcm, &mut payload).unwrap();
        payload.truncate(length);
        payload
    })
}

/// Hears what comes, the last half second of it.
pub struct Ear {
    decoder: Decoder,
    heard: Vec<i16>,
}

impl Ear {
    pub fn new() -> Ear {
        let decoder = Decoder::new(RATE, Channels::Mono).unwrap();
        Ear { decoder, heard: vec![0; RATE as usize / 2] }
    }

    pub fn hear(&mut self, payload: &[u8]) {
        let mut samples = [0; SAMPLES];
        let count = self.decoder.decode(payload, &mut samples, DecodeMode::Normal).unwrap();
        self.heard.extend_from_slice(&samples[..count]);
        self.heard.drain(..count);
    }

    /// How loud a tone is (the algorithm of Goertzel); full scale is 1.
    pub fn level(&self, tone: f32) -> f32 {
        let turn = 2.0 * (TAU * tone / RATE as f32).cos();
        let (mut last, mut before) = (0.0_f32, 0.0_f32);
        for sample in &self.heard {
            let next = f32::from(*sample) / 32_768.0 + turn * last - before;
            (before, last) = (last, next);
        }
        let power = last * last + before * before - turn * last * before;
        2.0 * power.max(0.0).sqrt() / self.heard.len() as f32
    }
}
