//! From what a client offers to what the focus takes, and back: pure functions.

#[cfg(test)]
mod tests;

use thiserror::Error;
use wello_sfu::api::{Codec, Credentials, Fingerprint, Media, Mid, Payload, Rid};
use wello_sfu::peer::webrtc::{
    AUDIO_LEVEL, DEPENDENCY, MID, ORIENTATION, REPAIRED_RID, RID, SEND_TIME, TRANSPORT_CC,
};
use wello_wire::error::StanzaError;
use wello_wire::payload::jingle::{
    Content, Description, Extension, Feedback, Jingle, Media as WireMedia, PayloadType, SctpMap,
    Senders, Setup, Transport,
};

use super::dialects::content;

/// Of one session: a browser has one for each of microphone, camera and what it shares.
const MAX_CONTENTS: usize = 16;
/// Of one content.
const MAX_PAYLOADS: usize = 64;
const MAX_EXTENSIONS: usize = 32;
const MAX_SOURCES: usize = 16;
const MAX_LAYERS: usize = 4;
const MAX_CATEGORIES: usize = 4;
pub const MAX_CANDIDATES: usize = 64;
/// Ids of the one-byte form (RFC 8285, section 4.2).
const EXTENSION_IDS: std::ops::RangeInclusive<u16> = 1..=14;

const NAME: Flaw = Flaw::Malformed("a content name is 1 to 16 printable ASCII characters");

/// Why an offer is not taken.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Flaw {
    #[error("{0}")]
    Malformed(&'static str),
    #[error("{0}")]
    TooMuch(&'static str),
    #[error("no codec in common")]
    NothingInCommon,
}

impl From<Flaw> for StanzaError {
    fn from(flaw: Flaw) -> StanzaError {
        match flaw {
            Flaw::Malformed(text) => StanzaError::bad_request(text),
            Flaw::TooMuch(_) | Flaw::NothingInCommon => {
                StanzaError::not_acceptable(flaw.to_string())
            }
        }
    }
}

/// The transport of a session, from its first content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    pub credentials: Credentials,
    pub fingerprint: Fingerprint,
    pub setup: Setup,
}

/// What of an offer is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub side: Side,
    pub contents: Vec<Offered>,
    pub data: Option<OfferedData>,
}

/// The content by which data channels are offered (XEP-0343).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedData {
    pub mid: Mid,
    /// Whether it is described as in XEP-0167.
    described: bool,
}

/// A content with what both sides can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    pub mid: Mid,
    pub media: Media,
    /// Whether the client is going to send.
    pub sends: bool,
    pub payloads: Vec<PayloadType>,
    pub extensions: Vec<Extension>,
    pub sources: Vec<(u32, Option<u32>)>,
    pub layers: Vec<Rid>,
    pub categories: Vec<String>,
    /// Header extensions may come in either form.
    pub mixed: bool,
}

/// Reads the offer of one who wants to join.
pub fn offer(jingle: &Jingle) -> Result<Offer, Flaw> {
    let side = side(&jingle.contents)?;
    let contents = contents(&jingle.contents, &[])?;
    if contents.is_empty() {
        return Err(Flaw::NothingInCommon);
    }
    Ok(Offer { side, contents, data: data(&jingle.contents)? })
}

/// Reads contents that come to those that a session has. What has no codec in common is left out.
pub fn contents(offered: &[Content], known: &[&Offered]) -> Result<Vec<Offered>, Flaw> {
    if offered.is_empty() || offered.len() + known.len() > MAX_CONTENTS {
        return Err(Flaw::TooMuch("too few or too many contents"));
    }
    let mut taken: Vec<Offered> = Vec::new();
    for content in offered {
        let Some(read) = read(content)? else { continue };
        let mut others = taken.iter().chain(known.iter().copied());
        if others.clone().any(|other| other.mid == read.mid) {
            return Err(Flaw::Malformed("a content name twice"));
        }
        if others.clone().any(|other| shares_source(other, &read)) {
            return Err(Flaw::Malformed("a source twice"));
        }
        if others.any(|other| contradicts(other, &read)) {
            return Err(Flaw::Malformed("a payload type or extension with two meanings"));
        }
        taken.push(read);
    }
    Ok(taken)
}

/// Data channels, if they are offered: there is one association in a session.
pub fn data(offered: &[Content]) -> Result<Option<OfferedData>, Flaw> {
    let has_channels = |content: &&Content| {
        let sctp = content.transport.as_ref().and_then(|transport| transport.sctp.as_ref());
        sctp.is_some_and(|sctp| sctp.protocol == SctpMap::CHANNELS)
    };
    let Some(content) = offered.iter().find(has_channels) else { return Ok(None) };
    let mid = Mid::new(&content.name).ok_or(NAME)?;
    let media = content.description.as_ref().and_then(|description| description.media);
    Ok(Some(OfferedData { mid, described: media == Some(WireMedia::Application) }))
}

/// The answer to them, without its transport.
pub fn data_answer(offered: &OfferedData) -> Content {
    let description = offered.described.then(|| Description::new(WireMedia::Application));
    Content { description, ..content(offered.mid.as_str()) }
}

/// The association as we have it (RFC 8841, section 4).
pub fn association() -> SctpMap {
    const PORT: u16 = 5000;
    const STREAMS: u16 = 1024;
    SctpMap { port: PORT, protocol: SctpMap::CHANNELS.to_owned(), streams: Some(STREAMS) }
}

/// ICE (RFC 8839, section 5.4) and DTLS (RFC 8122) of a session.
pub fn side(contents: &[Content]) -> Result<Side, Flaw> {
    let transport = contents
        .iter()
        .filter_map(|content| content.transport.as_ref())
        .find(|transport| transport.ufrag.is_some())
        .ok_or(Flaw::Malformed("no transport over ICE"))?;
    let candidates = contents.iter().filter_map(|content| content.transport.as_ref());
    if candidates.map(|transport| transport.candidates.len()).sum::<usize>() > MAX_CANDIDATES {
        return Err(Flaw::TooMuch("too many candidates"));
    }
    let fingerprint = transport
        .fingerprint
        .as_ref()
        .ok_or(Flaw::Malformed("no fingerprint: media is secured"))?;
    if fingerprint.hash != "sha-256" || fingerprint.bytes.len() != 32 {
        return Err(Flaw::Malformed("the fingerprint is to be of sha-256"));
    }
    Ok(Side {
        credentials: credentials(transport)?,
        fingerprint: Fingerprint {
            hash: fingerprint.hash.clone(),
            bytes: fingerprint.bytes.clone(),
        },
        setup: fingerprint.setup.unwrap_or(Setup::ActPass),
    })
}

/// RFC 8839, section 5.4.
pub fn credentials(transport: &Transport) -> Result<Credentials, Flaw> {
    let fits = |text: &str, least: usize| {
        (least..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    match (&transport.ufrag, &transport.password) {
        (Some(ufrag), Some(password))
            if fits(ufrag, 4) && !ufrag.contains(':') && fits(password, 22) =>
        {
            Ok(Credentials { ufrag: ufrag.clone(), password: password.clone() })
        }
        _ => Err(Flaw::Malformed("no ufrag and pwd for ICE")),
    }
}

fn read(content: &Content) -> Result<Option<Offered>, Flaw> {
    let Some(description) = &content.description else { return Ok(None) };
    let media = match description.media {
        Some(WireMedia::Audio) => Media::Audio,
        Some(WireMedia::Video) => Media::Video,
        Some(WireMedia::Application) | None => return Ok(None),
    };
    check_sizes(description)?;
    let mid = Mid::new(&content.name).ok_or(NAME)?;
    let payloads = payloads(media, &description.payloads)?;
    if payloads.is_empty() {
        return Ok(None);
    }
    let extensions: Vec<Extension> = description
        .extensions
        .iter()
        .filter(|extension| EXTENSION_IDS.contains(&extension.id) && knows(media, &extension.uri))
        .cloned()
        .collect();
    let has = |uri: &str| extensions.iter().any(|extension| extension.uri == uri);
    let layers = match has(RID) {
        true => layers(&description.layers)?,
        false => Vec::new(),
    };
    let sends = matches!(content.senders, None | Some(Senders::Initiator | Senders::Both));
    let sources = sources(description)?;
    if sends && sources.is_empty() && !has(MID) {
        return Err(Flaw::Malformed("neither sources nor the header extension for the MID"));
    }
    let payloads = without_feedback(payloads, has(TRANSPORT_CC));
    let (categories, mixed) = (description.categories.clone(), description.mixed);
    let offered =
        Offered { mid, media, sends, payloads, extensions, sources, layers, categories, mixed };
    Ok(Some(offered))
}

fn check_sizes(description: &Description) -> Result<(), Flaw> {
    let sources = description.sources.len()
        + description.groups.iter().map(|group| group.sources.len()).sum::<usize>();
    let too_long = |text: &String| text.len() > 64;
    match description {
        _ if description.payloads.len() > MAX_PAYLOADS => Err(Flaw::TooMuch("too many codecs")),
        _ if description.extensions.len() > MAX_EXTENSIONS => {
            Err(Flaw::TooMuch("too many header extensions"))
        }
        _ if sources > 3 * MAX_SOURCES => Err(Flaw::TooMuch("too many sources")),
        _ if description.layers.len() > MAX_LAYERS => Err(Flaw::TooMuch("too many layers")),
        _ if description.categories.len() > MAX_CATEGORIES
            || description.categories.iter().any(too_long) =>
        {
            Err(Flaw::TooMuch("too many categories"))
        }
        _ => Ok(()),
    }
}

fn layers(names: &[String]) -> Result<Vec<Rid>, Flaw> {
    let mut layers: Vec<Rid> = Vec::new();
    for name in names {
        let rid = Rid::new(name).filter(|rid| !layers.contains(rid));
        layers.push(rid.ok_or(Flaw::Malformed("a layer that cannot be or is there twice"))?);
    }
    Ok(layers)
}

/// Codecs that are forwarded, with their retransmissions.
fn payloads(media: Media, offered: &[PayloadType]) -> Result<Vec<PayloadType>, Flaw> {
    for (place, payload) in offered.iter().enumerate() {
        if offered[..place].iter().any(|other| other.id == payload.id) {
            return Err(Flaw::Malformed("a payload type twice"));
        }
    }
    let main = |payload: &PayloadType| codec(media, payload).is_some();
    let taken = offered.iter().filter(|payload| {
        let repeats = || apt(payload).and_then(|apt| offered.iter().find(|other| other.id == apt));
        main(payload) || repeats().is_some_and(main)
    });
    Ok(taken.cloned().collect())
}

/// What a payload type is, if the engine forwards it. Those from 64 to 95 cannot be told from RTCP
/// (RFC 5761, section 4).
pub fn codec(media: Media, payload: &PayloadType) -> Option<Codec> {
    if (64..96).contains(&payload.id) {
        return None;
    }
    let name = payload.name.to_ascii_lowercase();
    match (media, name.as_str(), payload.clockrate) {
        (Media::Audio, "opus", Some(48_000)) => Some(Codec::Opus),
        (Media::Video, "vp8", _) => Some(Codec::Vp8),
        (Media::Video, "vp9", _) => Some(Codec::Vp9),
        (Media::Video, "h264", _) => Some(Codec::H264),
        (Media::Video, "av1", _) => Some(Codec::Av1),
        _ => None,
    }
}

/// RFC 4588, section 8.1: what a payload type of retransmissions repeats.
fn apt(payload: &PayloadType) -> Option<u8> {
    let is_rtx = payload.name.eq_ignore_ascii_case("rtx") && !(64..96).contains(&payload.id);
    is_rtx.then(|| payload.parameter("apt")?.parse().ok()).flatten()
}

/// As the engine wants them.
pub fn engine_payloads(media: Media, payloads: &[PayloadType]) -> Vec<Payload> {
    let rtx = |id: u8| payloads.iter().find(|payload| apt(payload) == Some(id)).map(|rtx| rtx.id);
    let known = payloads.iter().filter_map(|payload| {
        let codec = codec(media, payload)?;
        Some(Payload { pt: payload.id, rtx: rtx(payload.id), codec })
    });
    known.collect()
}

/// The feedback that the engine gives (XEP-0293): the rest is taken away.
fn without_feedback(mut payloads: Vec<PayloadType>, transport_cc: bool) -> Vec<PayloadType> {
    for payload in &mut payloads {
        payload.feedback.retain(|feedback| {
            match (feedback.kind.as_str(), feedback.subtype.as_deref()) {
                ("nack", None | Some("pli")) | ("ccm", Some("fir")) => true,
                ("transport-cc", _) => transport_cc,
                _ => false,
            }
        });
    }
    payloads
}

fn knows(media: Media, uri: &str) -> bool {
    match uri {
        SEND_TIME | TRANSPORT_CC | MID | RID | REPAIRED_RID => true,
        AUDIO_LEVEL => media == Media::Audio,
        ORIENTATION | DEPENDENCY => media == Media::Video,
        _ => false,
    }
}

/// Sources with those of their retransmissions (RFC 4588, section 8.3: FID).
fn sources(description: &Description) -> Result<Vec<(u32, Option<u32>)>, Flaw> {
    let mut pairs: Vec<(u32, Option<u32>)> = Vec::new();
    for group in description.groups.iter().filter(|group| group.semantics == "FID") {
        match group.sources[..] {
            [main, rtx] => pairs.push((main, Some(rtx))),
            _ => return Err(Flaw::Malformed("a FID group is of two")),
        }
    }
    for source in &description.sources {
        let known =
            |(main, rtx): &(u32, Option<u32>)| *main == source.ssrc || *rtx == Some(source.ssrc);
        if !pairs.iter().any(known) {
            pairs.push((source.ssrc, None));
        }
    }
    let mut all: Vec<u32> = flat(&pairs).collect();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    match all.len() == count && all.first() != Some(&0) && pairs.len() <= MAX_SOURCES {
        true => Ok(pairs),
        false => Err(Flaw::Malformed("a source twice, zero or too many")),
    }
}

fn flat(pairs: &[(u32, Option<u32>)]) -> impl Iterator<Item = u32> + '_ {
    pairs.iter().flat_map(|(main, rtx)| std::iter::once(*main).chain(*rtx))
}

fn shares_source(one: &Offered, other: &Offered) -> bool {
    flat(&one.sources).any(|source| flat(&other.sources).any(|also| also == source))
}

/// In a bundle a number means the same everywhere (RFC 9143, section 9.1).
fn contradicts(one: &Offered, other: &Offered) -> bool {
    let payloads = engine_payloads(one.media, &one.payloads);
    let also = engine_payloads(other.media, &other.payloads);
    let clash = |a: &Payload| {
        also.iter().any(|b| {
            (a.pt == b.pt && a.codec != b.codec) || a.rtx == Some(b.pt) || b.rtx == Some(a.pt)
        })
    };
    let two_uris = |a: &Extension| other.extensions.iter().any(|b| a.id == b.id && a.uri != b.uri);
    payloads.iter().any(clash) || one.extensions.iter().any(two_uris)
}

/// All payload types of a session, each once.
pub fn all_payloads<'a>(contents: impl IntoIterator<Item = &'a Offered>) -> Vec<Payload> {
    let mut all: Vec<Payload> = Vec::new();
    for content in contents {
        for payload in engine_payloads(content.media, &content.payloads) {
            if !all.iter().any(|known| known.pt == payload.pt) {
                all.push(payload);
            }
        }
    }
    all
}

/// All header extensions of a session, each once.
pub fn all_extensions<'a>(contents: impl IntoIterator<Item = &'a Offered>) -> Vec<(u8, String)> {
    let mut all: Vec<(u8, String)> = Vec::new();
    for extension in contents.into_iter().flat_map(|content| &content.extensions) {
        // Their ids were looked at.
        let Ok(id) = u8::try_from(extension.id) else { continue };
        if !all.iter().any(|(known, _)| *known == id) {
            all.push((id, extension.uri.clone()));
        }
    }
    all
}

/// What the focus says of a content that it takes.
pub fn answer(offered: &Offered) -> Description {
    Description {
        payloads: offered.payloads.clone(),
        extensions: offered.extensions.clone(),
        layers: offered.layers.iter().map(|rid| rid.as_str().to_owned()).collect(),
        mixed: offered.mixed,
        ..Description::new(wire(offered.media))
    }
}

pub fn wire(media: Media) -> WireMedia {
    match media {
        Media::Audio => WireMedia::Audio,
        Media::Video => WireMedia::Video,
    }
}

/// The header extensions of sessions that the focus begins.
pub const OWN_EXTENSIONS: [(u8, &str); 3] = [(1, MID), (2, AUDIO_LEVEL), (3, ORIENTATION)];

/// By this a receiver of AV1 knows which layers it gets. It is long: only who knows it gets it.
const DESCRIBED: (u8, &str) = (5, DEPENDENCY);

/// By this a receiver reports on each packet, so that the engine knows what its network carries.
const REPORTED: (u8, &str) = (4, TRANSPORT_CC);

/// Whether there are layers to choose from for what its receiver's network carries. Who prefers VP9 may
/// send it in spatial layers, which show in the packets alone, and so may who prefers AV1, if he says in
/// header extensions which is which.
fn has_choice(offered: &Offered) -> bool {
    let described = offered.extensions.iter().any(|extension| extension.uri == DEPENDENCY);
    let preferred = offered.payloads.iter().find_map(|payload| codec(offered.media, payload));
    offered.layers.len() > 1
        || preferred == Some(Codec::Vp9)
        || (preferred == Some(Codec::Av1) && described)
}

/// The header extensions of a session that the focus began, as it was accepted. Its network is looked
/// at if that is of use and all of its contents are reported on: a browser that reports on video
/// alone would seem to lose all sound. `reports`: it is
/// of use in any case, since others may send over it later, in layers.
pub fn own_extensions<'a>(
    sent: impl IntoIterator<Item = &'a Offered>,
    accepted: &[Content],
    reports: bool,
) -> Vec<(u8, String)> {
    let takes = |content: &Content, uri: &str| {
        let description = content.description.as_ref();
        description.is_some_and(|all| all.extensions.iter().any(|known| known.uri == uri))
    };
    let has_use = reports || sent.into_iter().any(has_choice);
    let looked_at = has_use && accepted.iter().all(|content| takes(content, TRANSPORT_CC));
    // Where there are no pictures yet it is not known.
    let mut pictures = accepted.iter().filter(|content| is_picture(content)).peekable();
    let described = pictures.peek().is_none() || pictures.any(|content| takes(content, DEPENDENCY));
    let others = [(looked_at, REPORTED), (described, DESCRIBED)];
    let others = others.into_iter().filter_map(|(taken, extension)| taken.then_some(extension));
    OWN_EXTENSIONS.into_iter().chain(others).map(|(id, uri)| (id, uri.to_owned())).collect()
}

fn is_picture(content: &Content) -> bool {
    let description = content.description.as_ref();
    description.is_some_and(|description| description.media == Some(WireMedia::Video))
}

/// What the focus offers of a content that somebody sends. `reports`: it is to be reported on in any
/// case.
pub fn passed_on(offered: &Offered, reports: bool) -> Description {
    let is_reported = reports || offered.media == Media::Audio || has_choice(offered);
    let extensions = OWN_EXTENSIONS.iter().chain(is_reported.then_some(&REPORTED));
    let extensions = extensions.chain(std::iter::once(&DESCRIBED));
    let extensions = extensions.filter(|(_, uri)| knows(offered.media, uri));
    let mut description = Description::new(wire(offered.media));
    description.payloads = offered.payloads.clone();
    for payload in &mut description.payloads {
        payload.feedback.retain(|Feedback { kind, .. }| kind != "transport-cc");
        if is_reported && codec(offered.media, payload).is_some() {
            payload.feedback.push(Feedback { kind: "transport-cc".to_owned(), subtype: None });
        }
    }
    description.extensions = extensions
        .map(|(id, uri)| Extension { id: u16::from(*id), uri: (*uri).to_owned() })
        .collect();
    description.categories.clone_from(&offered.categories);
    description.mixed = offered.media == Media::Video;
    description
}

/// Which of the sender's payload types the receiver takes, and what they are called there.
pub fn mapping(sent: &Offered, accepted: &Description) -> Vec<(u8, u8)> {
    let same = |ours: &PayloadType, theirs: &PayloadType| {
        codec(sent.media, ours).is_some() && codec(sent.media, ours) == codec(sent.media, theirs)
    };
    let found = sent.payloads.iter().filter_map(|ours| {
        let by_id = accepted.payloads.iter().find(|theirs| theirs.id == ours.id);
        let theirs = by_id
            .filter(|theirs| same(ours, theirs))
            .or_else(|| accepted.payloads.iter().find(|theirs| same(ours, theirs)))?;
        Some((ours.id, theirs.id))
    });
    found.collect()
}
