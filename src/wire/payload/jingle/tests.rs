use super::*;
use crate::payload::dom::el as element;

pub(crate) const OFFER: &str = "<jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' sid='U1' \
    initiator='juliet@capulet.example/balcony'>\
    <group xmlns='urn:xmpp:jingle:apps:grouping:0' semantics='BUNDLE'><content name='0'/></group>\
    <content creator='initiator' name='0' senders='initiator'>\
    <description xmlns='urn:xmpp:jingle:apps:rtp:1' media='video'>\
    <payload-type id='96' name='VP8' clockrate='90000'><parameter name='x' value='1'/>\
    <rtcp-fb xmlns='urn:xmpp:jingle:apps:rtp:rtcp-fb:0' type='nack' subtype='pli'/></payload-type>\
    <rtp-hdrext xmlns='urn:xmpp:jingle:apps:rtp:rtp-hdrext:0' id='4' uri='urn:x'/>\
    <extmap-allow-mixed xmlns='urn:xmpp:jingle:apps:rtp:rtp-hdrext:0'/>\
    <ssrc-group xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' semantics='FID'>\
    <source ssrc='1'/><source ssrc='2'/></ssrc-group>\
    <source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='1'><parameter name='cname' value='c'/></source>\
    <simulcast xmlns='urn:wello:calls:0'><layer rid='l'/><layer rid='h'/></simulcast>\
    <category xmlns='urn:xmpp:jingle:apps:category:0' name='slides'/><rtcp-mux/></description>\
    <transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='abcd' pwd='secret'>\
    <sctpmap xmlns='urn:xmpp:jingle:transports:dtls-sctp:1' number='5000' \
    protocol='webrtc-datachannel' streams='16'/>\
    <fingerprint xmlns='urn:xmpp:jingle:apps:dtls:0' hash='SHA-256' setup='actpass'>\
    AB:0c </fingerprint>\
    <candidate component='1' foundation='1' generation='0' id='c' ip='x.local' network='0' \
    port='9' priority='7' protocol='udp' type='host'/></transport></content>\
    <conference-info xmlns='urn:xmpp:coin:1' isfocus='true'/></jingle>";

#[test]
fn an_offer_is_read_and_written() {
    let offer = Jingle::parse(&element(OFFER)).unwrap();
    assert_eq!((offer.action, offer.sid.as_str()), (Action::SessionInitiate, "U1"));
    assert_eq!(offer.bundle, ["0"]);
    assert_eq!(offer.others.len(), 1);
    let content = &offer.contents[0];
    assert_eq!(content.senders, Some(Senders::Initiator));
    let description = content.description.as_ref().unwrap();
    assert_eq!(description.media, Some(Media::Video));
    assert_eq!((description.payloads[0].id, description.layers.len()), (96, 2));
    assert_eq!(description.groups[0].sources, [1, 2]);
    assert!(description.mixed);
    assert_eq!(description.categories, ["slides"]);
    let transport = content.transport.as_ref().unwrap();
    let fingerprint = transport.fingerprint.as_ref().unwrap();
    assert_eq!((fingerprint.hash.as_str(), &fingerprint.bytes[..]), ("sha-256", &[0xab, 0x0c][..]));
    assert_eq!(transport.candidates[0].address, None);
    let sctp = transport.sctp.as_ref().unwrap();
    assert_eq!((sctp.port, sctp.protocol.as_str()), (5000, SctpMap::CHANNELS));
    assert_eq!(sctp.streams, Some(16));
    let mut again = Jingle::parse(&offer.to_element()).unwrap();
    again.contents[0].transport.as_mut().unwrap().candidates[0].address = None;
    assert_eq!(again, offer);
}

#[test]
fn nonsense_is_refused() {
    for (from, to) in [
        ("session-initiate", "session-invent"),
        ("sid='U1'", ""),
        ("name='0' senders", "senders"),
        ("senders='initiator'", "senders='somebody'"),
        ("id='96'", "id='200'"),
        ("AB:0c", "AB0c"),
        ("ssrc='1'", "ssrc='-1'"),
        ("number='5000'", "number='70000'"),
        ("number='5000'", ""),
        ("protocol='webrtc-datachannel'", ""),
        ("initiator='juliet@capulet.example/balcony'", "initiator='@'"),
    ] {
        assert!(Jingle::parse(&element(&OFFER.replacen(from, to, 1))).is_err(), "{to}");
    }
}

#[test]
fn reasons_are_read_leniently() {
    let text = "<jingle xmlns='urn:xmpp:jingle:1' action='session-terminate' sid='U1'>\
        <reason><fancy/><text>bye</text></reason></jingle>";
    let reason = Jingle::parse(&element(text)).unwrap().reason.unwrap();
    assert_eq!(reason.condition, Condition::GeneralError);
    assert_eq!(reason.text.as_deref(), Some("bye"));
    let busy = Jingle::parse(&element(&text.replace("fancy", "busy"))).unwrap().reason.unwrap();
    assert_eq!(busy.condition, Condition::Busy);
}
