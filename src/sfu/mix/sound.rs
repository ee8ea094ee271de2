//! Samples.

/// Opus counts in this rate (RFC 7587, section 4.1).
pub const RATE: u32 = 48_000;
/// 20 ms.
pub const SAMPLES: usize = 960;

/// 20 ms of one channel.
pub type Frame = [i16; SAMPLES];

/// Up to here sound is left as it is: 80 % of full scale.
const KNEE: f32 = 0.8 * FULL;
const FULL: f32 = 32_767.0;

/// Sounds at the same time.
pub fn add<'a>(frames: impl Iterator<Item = &'a Frame>) -> Frame {
    let mut sums = [0_i32; SAMPLES];
    for frame in frames {
        for (sum, sample) in sums.iter_mut().zip(frame) {
            *sum += i32::from(*sample);
        }
    }
    sums.map(limited)
}

/// Bends what is too loud instead of cutting it off, which would crackle.
fn limited(sum: i32) -> i16 {
    let loud = sum.unsigned_abs() as f32;
    if loud <= KNEE {
        // Within the range of samples.
        return sum as i16;
    }
    let bent = KNEE + (FULL - KNEE) * ((loud - KNEE) / (FULL - KNEE)).tanh();
    // The cast ends at the bounds of its type.
    if sum < 0 { -bent as i16 } else { bent as i16 }
}

/// The mean square of the samples; full scale is 1.
pub fn energy(frame: &Frame) -> f32 {
    let square = |sample: &i16| (f32::from(*sample) / FULL).powi(2);
    frame.iter().map(square).sum::<f32>() / SAMPLES as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_loud_is_bent_and_stays_in_order() {
        assert_eq!([limited(0), limited(1000), limited(-20_000)], [0, 1000, -20_000]);
        let mut last = 0;
        for sum in (0..200_000).step_by(500) {
            let louder = limited(sum);
            assert!(louder >= last, "{sum}");
            assert_eq!(limited(-sum), -louder);
            last = louder;
        }
        assert!(last >= 32_760, "{last}");
    }

    #[test]
    fn sounds_add_up() {
        let (one, other) = ([1000; SAMPLES], [-400; SAMPLES]);
        assert_eq!(add([&one, &other].into_iter()), [600; SAMPLES]);
        assert_eq!(add([].into_iter()), [0; SAMPLES]);
        assert!(energy(&one) > energy(&other) && energy(&[0; SAMPLES]) == 0.0);
    }
}
