//! Offers of clients that know only calls between two: they send and get by one session.

use wello_sfu::api::{Media, Mid};
use wello_wire::payload::jingle::{Content, Jingle, Senders};

use super::negotiate::{self, Flaw, Offer, Offered};

/// What of such an offer is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainOffer {
    /// All contents share one transport (XEP-0338).
    pub is_bundled: bool,
    /// One for each transport.
    pub transports: Vec<Offer>,
    /// The contents by which the client wants to get something.
    pub receives: Vec<Mid>,
}

/// Whether a client wants to get something by the session by which it sends.
pub fn is_plain(jingle: &Jingle) -> bool {
    let is_media = |content: &&Content| {
        content.transport.as_ref().is_none_or(|transport| transport.sctp.is_none())
    };
    jingle.contents.iter().filter(is_media).any(receives)
}

/// XEP-0166, section 7.3: nothing said means both.
pub fn receives(content: &Content) -> bool {
    matches!(content.senders, None | Some(Senders::Both | Senders::Responder))
}

/// Takes the first sound and the first picture that are offered.
pub fn offer(jingle: &Jingle) -> Result<PlainOffer, Flaw> {
    let taken = firsts(jingle, &[])?;
    if taken.is_empty() {
        return Err(Flaw::NothingInCommon);
    }
    let receives = received(jingle, &taken);
    let is_bundled =
        taken.iter().all(|offered| jingle.bundle.iter().any(|name| name == offered.mid.as_str()));
    let transports = match is_bundled {
        true => {
            vec![Offer { side: negotiate::side(&jingle.contents)?, contents: taken, data: None }]
        }
        false => apart(jingle, taken)?,
    };
    Ok(PlainOffer { is_bundled, transports, receives })
}

/// The first sound and the first picture, unless there is one already among `known`.
pub fn firsts(jingle: &Jingle, known: &[&Offered]) -> Result<Vec<Offered>, Flaw> {
    let mut taken = negotiate::contents(&jingle.contents, known)?;
    let mut seen: Vec<Media> = known.iter().map(|offered| offered.media).collect();
    taken.retain(|offered| {
        let is_first = !seen.contains(&offered.media);
        seen.push(offered.media);
        is_first
    });
    Ok(taken)
}

/// Those of contents by which the client wants to get something.
pub fn received(jingle: &Jingle, contents: &[Offered]) -> Vec<Mid> {
    let wanted = contents.iter().map(|offered| offered.mid.clone());
    wanted.filter(|mid| named(jingle, mid).is_some_and(receives)).collect()
}

/// Each content with a transport of its own.
pub fn apart(jingle: &Jingle, contents: Vec<Offered>) -> Result<Vec<Offer>, Flaw> {
    let alone = |offered: Offered| {
        let content = named(jingle, &offered.mid).map_or(&[][..], std::slice::from_ref);
        Ok(Offer { side: negotiate::side(content)?, contents: vec![offered], data: None })
    };
    contents.into_iter().map(alone).collect()
}

fn named<'a>(jingle: &'a Jingle, mid: &Mid) -> Option<&'a Content> {
    jingle.contents.iter().find(|content| content.name == mid.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSPORT: &str = "<transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='UFRAG' \
        pwd='0123456789012345678901'><fingerprint xmlns='urn:xmpp:jingle:apps:dtls:0' \
        hash='sha-256' setup='actpass'>00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:\
        14:15:16:17:18:19:1A:1B:1C:1D:1E:1F</fingerprint></transport>";

    fn content(name: &str, media: &str, codec: &str, senders: &str) -> String {
        let ssrc = name.bytes().map(u32::from).sum::<u32>();
        let id = if media == "audio" { 111 } else { 96 };
        format!(
            "<content creator='initiator' name='{name}'{senders}>\
             <description xmlns='urn:xmpp:jingle:apps:rtp:1' media='{media}'>\
             <payload-type id='{id}' name='{codec}' clockrate='48000'/>\
             <source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='{ssrc}'/></description>{}\
             </content>",
            TRANSPORT.replace("UFRAG", &format!("{name}{name}{name}{name}"))
        )
    }

    fn jingle(inner: &str) -> Jingle {
        let text = format!(
            "<jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' sid='a'>{inner}</jingle>"
        );
        Jingle::parse(&text.parse().unwrap()).unwrap()
    }

    fn bundle(names: &[&str]) -> String {
        let contents: String =
            names.iter().map(|name| format!("<content name='{name}'/>")).collect();
        format!(
            "<group xmlns='urn:xmpp:jingle:apps:grouping:0' semantics='BUNDLE'>{contents}</group>"
        )
    }

    #[test]
    fn who_gets_by_what_he_sends_is_plain() {
        for (senders, plain) in [
            ("", true),
            (" senders='both'", true),
            (" senders='responder'", true),
            (" senders='initiator'", false),
            (" senders='none'", false),
        ] {
            assert_eq!(is_plain(&jingle(&content("a", "audio", "opus", senders))), plain);
            // Data channels go both ways, whatever is said of them.
            let data = "<content creator='initiator' name='d'><transport \
                xmlns='urn:xmpp:jingle:transports:ice-udp:1'><sctpmap number='5000' \
                xmlns='urn:xmpp:jingle:transports:dtls-sctp:1' protocol='webrtc-datachannel'/>\
                </transport></content>";
            let both = format!("{}{data}", content("a", "audio", "opus", senders));
            assert_eq!(is_plain(&jingle(&both)), plain);
        }
    }

    #[test]
    fn contents_share_a_transport_or_have_their_own() {
        let (audio, video) = (content("a", "audio", "opus", ""), content("v", "video", "VP8", ""));
        let ufrags = |inner: &str| {
            let offer = offer(&jingle(inner)).unwrap();
            let ufrag = |part: &Offer| (part.side.credentials.ufrag.clone(), part.contents.len());
            offer.transports.iter().map(ufrag).collect::<Vec<_>>()
        };
        let both = format!("{audio}{video}");
        assert_eq!(ufrags(&format!("{}{both}", bundle(&["a", "v"]))), [("aaaa".to_owned(), 2)]);
        assert_eq!(ufrags(&both), [("aaaa".to_owned(), 1), ("vvvv".to_owned(), 1)]);
        assert_eq!(ufrags(&audio), [("aaaa".to_owned(), 1)]);
    }

    #[test]
    fn one_sound_and_one_picture_are_taken() {
        let inner = [
            content("a", "audio", "opus", " senders='initiator'"),
            content("b", "audio", "opus", ""),
            content("v", "video", "VP8", ""),
        ];
        let taken = offer(&jingle(&inner.concat())).unwrap();
        let names: Vec<&str> =
            taken.transports.iter().map(|part| part.contents[0].mid.as_str()).collect();
        assert_eq!(names, ["a", "v"]);
        assert_eq!(taken.receives, [Mid::new("v").unwrap()]);
        let other = offer(&jingle(&content("a", "audio", "speex", "")));
        assert_eq!(other, Err(Flaw::NothingInCommon));
    }
}
