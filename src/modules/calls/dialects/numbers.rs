//! Payload types of a transport that carries what several senders send. Each of them has its own
//! numbers, but in a bundle a number means the same everywhere (RFC 9143, section 9.1).

use wello_sfu::api::{Codec, Media, Payload};
use wello_wire::payload::jingle::PayloadType;

use crate::calls::negotiate::{codec, engine_payloads};

const fn speak(pt: u8, rtx: Option<u8>, codec: Codec) -> Payload {
    Payload { pt, rtx, codec }
}

/// What such a transport speaks: several numbers where one codec has formats that do not
/// understand each other.
pub const SPOKEN: [Payload; 10] = [
    speak(111, None, Codec::Opus),
    speak(96, Some(97), Codec::Vp8),
    speak(98, Some(99), Codec::Vp9),
    speak(100, Some(101), Codec::Vp9),
    speak(102, Some(103), Codec::H264),
    speak(104, Some(105), Codec::H264),
    speak(106, Some(107), Codec::H264),
    speak(108, Some(109), Codec::H264),
    speak(35, Some(36), Codec::Av1),
    speak(37, Some(38), Codec::Av1),
];

/// Which number stands for which format on a transport.
#[derive(Clone, Debug, Default)]
pub struct Numbers(Vec<Known>);

#[derive(Clone, Debug)]
struct Known {
    format: Format,
    /// As the first sender has described it. All contents say the same of a number: Chromium takes
    /// no bundle where they do not, be it about what is of no importance to who receives.
    named: PayloadType,
}

/// What must be equal for one decoder to do.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Format {
    codec: Codec,
    parameters: Vec<String>,
}

impl Numbers {
    /// The payload types of a content by our numbers, and the sender's numbers with ours. Formats
    /// for which there is no number left are not in it.
    pub fn translate(
        &mut self,
        media: Media,
        payloads: &[PayloadType],
    ) -> (Vec<PayloadType>, Vec<(u8, u8)>) {
        let (mut named, mut pairs) = (Vec::new(), Vec::new());
        for payload in engine_payloads(media, payloads) {
            let Some(main) = payloads.iter().find(|known| known.id == payload.pt) else { continue };
            let Some((number, known)) = self.number(media, main) else { continue };
            if pairs.iter().any(|(_, taken)| *taken == number.pt) {
                // The sender has two numbers for it: either may come.
                pairs.push((payload.pt, number.pt));
                continue;
            }
            named.push(known);
            let repeats = payload.rtx.and_then(|rtx| payloads.iter().find(|own| own.id == rtx));
            if let (Some(repeats), Some(rtx)) = (repeats, number.rtx) {
                let parameters = vec![("apt".to_owned(), number.pt.to_string())];
                named.push(PayloadType { id: rtx, parameters, ..repeats.clone() });
            }
            pairs.push((payload.pt, number.pt));
        }
        (named, pairs)
    }

    fn number(&mut self, media: Media, payload: &PayloadType) -> Option<(Payload, PayloadType)> {
        let format = format(media, payload)?;
        let of_codec = || SPOKEN.into_iter().filter(|spoken| spoken.codec == format.codec);
        if let Some(known) = self.0.iter().find(|known| known.format == format) {
            let number = of_codec().find(|spoken| spoken.pt == known.named.id)?;
            return Some((number, known.named.clone()));
        }
        let is_free = |number: u8| self.0.iter().all(|known| known.named.id != number);
        let number = of_codec().find(|spoken| is_free(spoken.pt))?;
        let named = PayloadType { id: number.pt, ..payload.clone() };
        self.0.push(Known { format, named: named.clone() });
        Some((number, named))
    }
}

/// RFC 6184, section 8.2.2; RFC 9628, section 6; the RTP payload format of AV1, section 7.2.
fn format(media: Media, payload: &PayloadType) -> Option<Format> {
    let codec = codec(media, payload)?;
    let or =
        |name: &str, default: &str| payload.parameter(name).unwrap_or(default).to_ascii_lowercase();
    let parameters = match codec {
        Codec::Opus | Codec::Vp8 => Vec::new(),
        Codec::Vp9 => vec![or("profile-id", "0")],
        Codec::Av1 => vec![or("profile", "0")],
        Codec::H264 => {
            // The level at the end is an upper bound, no other format.
            let profile: String = or("profile-level-id", "42e01f").chars().take(4).collect();
            vec![or("packetization-mode", "0"), profile]
        }
    };
    Some(Format { codec, parameters })
}
