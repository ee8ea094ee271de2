mod dialects;
mod gathered;
mod plain;
mod view;

use wello_sfu::api::{Command, Fingerprint, LegSpec, Rid, TrackId, Why};
use wello_wire::error::Condition as ErrorCondition;

use super::*;

struct Count(u64);

impl Dice for Count {
    fn id(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }

    fn name(&mut self) -> String {
        format!("name{}", self.id())
    }

    fn number(&mut self) -> u32 {
        u32::try_from(self.id()).unwrap() + 70_000
    }
}

/// A conference, and what it has done since it was looked at.
struct Stage {
    conference: Conference,
    dice: Count,
    fx: Effects,
}

fn guest(name: &str) -> Guest {
    Guest {
        jid: format!("{name}@capulet.example/one").parse().unwrap(),
        occupant: format!("hall@conference.capulet.example/{name}").parse().unwrap(),
        voice: true,
        moderates: false,
        sees_addresses: false,
        shows_call: false,
        speaks_movim: false,
    }
}

fn caller(name: &str) -> Caller {
    by(Dialect::Sessions, guest(name))
}

/// Somebody who joins in this dialect.
fn by(dialect: Dialect, guest: Guest) -> Caller {
    Caller { guest, dialect, called: "hall@calls.capulet.example".parse().unwrap() }
}

fn jid(name: &str) -> FullJid {
    guest(name).jid
}

const TRANSPORT: &str = "<transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='abcd' \
    pwd='0123456789012345678901'><fingerprint xmlns='urn:xmpp:jingle:apps:dtls:0' hash='sha-256' \
    setup='SETUP'>00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:\
    1B:1C:1D:1E:1F</fingerprint></transport>";

/// Audio in content 0, video with layers in content 1.
fn contents(ssrc: u32, setup: &str) -> String {
    format!(
        "<content creator='initiator' name='0' senders='initiator'>\
         <description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'>\
         <payload-type id='111' name='opus' clockrate='48000' channels='2'/>\
         <payload-type id='0' name='PCMU' clockrate='8000'/>\
         <source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='{ssrc}'/></description>\
         {TRANSPORT}</content>\
         <content creator='initiator' name='1' senders='initiator'>\
         <description xmlns='urn:xmpp:jingle:apps:rtp:1' media='video'>\
         <payload-type id='96' name='VP8' clockrate='90000'/>\
         <payload-type id='97' name='rtx' clockrate='90000'><parameter name='apt' value='96'/>\
         </payload-type>\
         <rtp-hdrext xmlns='urn:xmpp:jingle:apps:rtp:rtp-hdrext:0' id='4' \
         uri='urn:ietf:params:rtp-hdrext:sdes:mid'/>\
         <rtp-hdrext xmlns='urn:xmpp:jingle:apps:rtp:rtp-hdrext:0' id='5' \
         uri='urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id'/>\
         <simulcast xmlns='urn:wello:calls:0'><layer rid='l'/><layer rid='h'/></simulcast>\
         </description>{TRANSPORT}</content>"
    )
    .replace("SETUP", setup)
}

fn jingle(action: &str, sid: &str, inner: &str) -> Jingle {
    let text =
        format!("<jingle xmlns='urn:xmpp:jingle:1' action='{action}' sid='{sid}'>{inner}</jingle>");
    Jingle::parse(&text.parse().unwrap()).unwrap()
}

impl Stage {
    fn new() -> Stage {
        let here = Here {
            addresses: vec!["192.0.2.1:10000".parse().unwrap()],
            fingerprint: Fingerprint { hash: "sha-256".to_owned(), bytes: vec![7; 32] },
            participants: 3,
            streams: 2,
            mixes: 2,
            media: vec![Media::Audio, Media::Video],
        };
        let focus = "hall@calls.capulet.example".parse().unwrap();
        let conference = Conference::new(ConferenceId(1), focus, here);
        Stage { conference, dice: Count(0), fx: Effects::default() }
    }

    fn join(&mut self, name: &str) -> Result<(), StanzaError> {
        self.join_as(&caller(name), &format!("up-{name}"), &contents(1, "actpass"))
    }

    fn join_as(&mut self, caller: &Caller, sid: &str, offer: &str) -> Result<(), StanzaError> {
        let offer = jingle("session-initiate", sid, offer);
        self.conference.join(caller, &offer, &mut self.dice, &mut self.fx)
    }

    fn act(&mut self, name: &str, action: &str, sid: &str, inner: &str) -> Result<(), StanzaError> {
        let jingle = jingle(action, sid, inner);
        self.conference.handle(&jid(name), &jingle, &mut self.dice, &mut self.fx)
    }

    /// Accepts the session of the focus that was offered to somebody last.
    fn accept(&mut self, name: &str) -> String {
        let sid = self.conference.people[&jid(name)].downs.last().unwrap().sid.clone();
        self.act(name, "session-accept", &sid, &contents(2, "active")).unwrap();
        sid
    }

    /// What was sent since the last time: to whom, the action and the rest that matters.
    fn told(&mut self) -> Vec<String> {
        let out = std::mem::take(&mut self.fx.out);
        let line = |stanza: &Stanza| {
            let to = stanza.to.as_ref()?.local()?.to_owned();
            let jingle = Jingle::parse(stanza.child("jingle", ns::JINGLE)?).unwrap();
            let mut line = format!("{to} {}", jingle.action.name());
            if let Some(reason) = &jingle.reason {
                line = format!("{line} {}", reason.condition.name());
            }
            for content in &jingle.contents {
                let senders = content.senders.map_or("", |senders| senders.name());
                line = format!("{line} {}:{senders}", content.name);
            }
            for other in &jingle.others {
                line = format!("{line} {}", other.name());
            }
            Some(line)
        };
        out.iter().filter_map(line).collect()
    }

    fn commanded(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.fx.media)
    }

    fn opened(&mut self) -> Vec<LegSpec> {
        let opened = self.commanded().into_iter().filter_map(|command| match command {
            Command::Open(spec) => Some(*spec),
            _ => None,
        });
        opened.collect()
    }

    /// Two who get each other.
    fn two() -> Stage {
        let mut stage = Stage::new();
        stage.join("juliet").unwrap();
        stage.join("romeo").unwrap();
        stage.accept("juliet");
        stage.accept("romeo");
        stage.told();
        stage.commanded();
        stage
    }

    fn room(&mut self, guests: &[Guest], partings: &[(&str, Parting)]) {
        let guests = guests.iter().map(|guest| (guest.jid.clone(), guest.clone())).collect();
        let partings: HashMap<_, _> =
            partings.iter().map(|(name, why)| (jid(name), *why)).collect();
        let why = |jid: &FullJid| partings.get(jid).copied().unwrap_or(Parting::Left);
        self.conference.room_changed(&guests, &why, &mut self.dice, &mut self.fx);
    }
}

#[test]
fn each_gets_what_the_other_sends() {
    let mut stage = Stage::new();
    stage.join("juliet").unwrap();
    assert_eq!(stage.told(), ["juliet session-accept 0:initiator 1:initiator conference-info"]);
    let opened = stage.opened();
    let [leg] = &opened[..] else { panic!("{opened:?}") };
    assert!(!leg.controlling && !leg.dtls_client && leg.outputs.is_empty());
    let sources: Vec<_> = leg.tracks.iter().map(|track| track.sources.len()).collect();
    assert_eq!(sources, [1, 0]);
    assert_eq!(leg.tracks[1].layers, ["l", "h"].map(|name| Rid::new(name).unwrap()));
    // PCMU is not forwarded. What may be added has its usual numbers from the beginning on.
    let payloads: Vec<u8> = leg.payloads.iter().map(|payload| payload.pt).collect();
    assert_eq!(payloads, [111, 96, 98, 102, 45]);

    stage.join("romeo").unwrap();
    let offered = "session-initiate 0:initiator 1:initiator conference-info stream";
    assert_eq!(
        stage.told(),
        [
            "romeo session-accept 0:initiator 1:initiator conference-info".to_owned(),
            format!("romeo {offered}"),
            format!("juliet {offered}"),
        ]
    );
    stage.commanded();
    stage.accept("juliet");
    let opened = stage.opened();
    let [leg] = &opened[..] else { panic!("{opened:?}") };
    assert!(leg.controlling && leg.tracks.is_empty());
    assert_eq!(leg.outputs.len(), 2);
    assert_eq!(leg.outputs[1].payloads, [(96, 96)]);
    assert!(leg.outputs[0].rtx.is_none() && leg.outputs[1].rtx.is_some());
}

#[test]
fn places_are_bounded() {
    let mut stage = Stage::new();
    for name in ["a", "b", "c"] {
        stage.join(name).unwrap();
    }
    assert_eq!(stage.join("d").unwrap_err().condition, ErrorCondition::ResourceConstraint);
    assert_eq!(stage.join("a").unwrap_err().condition, ErrorCondition::Conflict);
    let mut again = |sid: &str| stage.join_as(&caller("a"), sid, &contents(1, "actpass"));
    again("second").unwrap();
    assert_eq!(again("third").unwrap_err().condition, ErrorCondition::ResourceConstraint);
}

#[test]
fn who_leaves_is_taken_from_the_others() {
    let mut stage = Stage::two();
    stage.act("romeo", "session-terminate", "up-romeo", "<reason><success/></reason>").unwrap();
    assert_eq!(
        stage.told(),
        ["juliet session-terminate success", "romeo session-terminate success"]
    );
    let closed = stage.commanded();
    assert_eq!(closed.len(), 3, "{closed:?}");
    assert!(closed.iter().all(|command| matches!(command, Command::Close { .. })));
    let unknown = stage.act("romeo", "session-info", "up-romeo", "").unwrap_err();
    assert!(unknown.application.unwrap().is("unknown-session", ns::JINGLE_ERRORS));
    stage.act("juliet", "session-terminate", "up-juliet", "").unwrap();
    assert!(stage.conference.is_empty());
}

#[test]
fn the_room_decides_who_stays_and_why_not() {
    for (why, reason) in [
        (Parting::Left, "success"),
        (Parting::Removed, "security-error"),
        (Parting::Destroyed, "gone"),
    ] {
        let mut stage = Stage::two();
        stage.room(&[guest("juliet")], &[("romeo", why)]);
        let mut told = stage.told();
        told.sort();
        let to_romeo = format!("romeo session-terminate {reason}");
        assert_eq!(told, ["juliet session-terminate success", &to_romeo, &to_romeo]);
        assert_eq!(stage.commanded().len(), 3);
        assert_eq!(stage.conference.devices().count(), 1);
    }
}

#[test]
fn voice_is_taken_and_given() {
    let mut stage = Stage::two();
    let visitor = Guest { voice: false, ..guest("romeo") };
    stage.room(&[guest("juliet"), visitor.clone()], &[]);
    assert_eq!(
        stage.told(),
        ["romeo content-modify 0:none 1:none", "juliet session-terminate success"]
    );
    let commanded = stage.commanded();
    let off = |command: &&Command| matches!(command, Command::Forward { on: false, .. });
    assert_eq!(commanded.iter().filter(off).count(), 2);
    let speak = "<content creator='initiator' name='0' senders='initiator'/>";
    let refused = stage.act("romeo", "content-modify", "up-romeo", speak).unwrap_err();
    assert_eq!(refused.condition, ErrorCondition::Forbidden);
    stage.room(&[guest("juliet"), guest("romeo")], &[]);
    assert_eq!(
        stage.told(),
        [
            "romeo content-modify 0:initiator 1:initiator",
            "juliet session-initiate 0:initiator 1:initiator conference-info stream",
        ]
    );
    // A visitor that joins may listen.
    let mut stage = Stage::new();
    stage.join("juliet").unwrap();
    stage.told();
    let visitor = by(Dialect::Sessions, visitor);
    stage.join_as(&visitor, "u", &contents(1, "actpass")).unwrap();
    assert_eq!(
        stage.told(),
        [
            "romeo session-accept 0:none 1:none conference-info",
            "romeo session-initiate 0:initiator 1:initiator conference-info stream",
        ]
    );
}

#[test]
fn mute_reaches_those_who_are_there_and_those_who_come() {
    let mut stage = Stage::two();
    let mute = "<mute xmlns='urn:xmpp:jingle:apps:rtp:info:1' creator='initiator' name='0'/>";
    stage.act("romeo", "session-info", "up-romeo", mute).unwrap();
    assert_eq!(stage.told(), ["juliet session-info mute"]);
    stage.join("nurse").unwrap();
    stage.told();
    let nurse = &stage.conference.people[&jid("nurse")];
    let sids: Vec<(String, FullJid)> = nurse
        .downs
        .iter()
        .map(|down| (down.sid.clone(), down.contents[0].sender.jid.clone()))
        .collect();
    for (sid, sender) in sids {
        stage.act("nurse", "session-accept", &sid, &contents(2, "active")).unwrap();
        let expected: &[&str] =
            if sender == jid("romeo") { &["nurse session-info mute"] } else { &[] };
        assert_eq!(stage.told(), expected);
    }
    let other = stage.act("romeo", "session-info", "up-romeo", "<x xmlns='urn:x'/>").unwrap_err();
    assert_eq!(other.condition, ErrorCondition::FeatureNotImplemented);
    stage.act("romeo", "session-info", "up-romeo", "").unwrap();
}

#[test]
fn contents_come_hold_and_go() {
    let mut stage = Stage::two();
    let add = contents(77, "actpass").replace("name='1'", "name='2'");
    let second = add.split_once("</content>").unwrap().1;
    stage.act("romeo", "content-add", "up-romeo", second).unwrap();
    assert_eq!(
        stage.told(),
        ["romeo content-accept 2:initiator", "juliet content-add 2:initiator"]
    );
    assert!(matches!(stage.commanded()[..], [Command::AddTrack { .. }]));
    let down = stage.conference.people[&jid("juliet")].downs[0].sid.clone();
    stage.act("juliet", "content-accept", &down, second).unwrap();
    assert!(matches!(stage.commanded()[..], [Command::AddOutput { .. }]));

    let hold = "<content creator='initiator' name='1' senders='none'/>";
    stage.act("romeo", "content-modify", "up-romeo", hold).unwrap();
    assert!(matches!(stage.commanded()[..], [Command::Forward { on: false, .. }]));
    stage.act("juliet", "content-modify", &down, hold).unwrap();
    assert!(matches!(stage.commanded()[..], [Command::Pause { paused: true, .. }]));
    let layer = "<layer xmlns='urn:wello:calls:0' name='1' rid='l'/>";
    stage.act("juliet", "session-info", &down, layer).unwrap();
    let limited = Some(Rid::new("l").unwrap());
    assert!(matches!(&stage.commanded()[..], [Command::Limit { layer, .. }] if *layer == limited));
    stage.told();

    let remove = "<content creator='initiator' name='2'/>";
    stage.act("romeo", "content-remove", "up-romeo", remove).unwrap();
    assert_eq!(stage.told(), ["juliet content-remove 2:"]);
    assert!(matches!(
        stage.commanded()[..],
        [Command::RemoveTrack { .. }, Command::RemoveOutput { .. }]
    ));
    // A codec that the transport was not opened with.
    let h264 =
        second.replace("'VP8'", "'H264'").replace("'96'", "'98'").replace("name='2'", "name='3'");
    stage.act("romeo", "content-add", "up-romeo", &h264).unwrap();
    assert_eq!(stage.told(), ["romeo content-reject unsupported-applications 3:"]);
}

#[test]
fn new_credentials_are_answered_by_new_ones() {
    let mut stage = Stage::two();
    let fresh = format!("<content creator='initiator' name='0'>{TRANSPORT}</content>");
    let fresh = fresh.replace("SETUP", "actpass").replace("abcd", "efgh");
    stage.act("romeo", "transport-info", "up-romeo", &fresh).unwrap();
    assert_eq!(stage.told(), ["romeo transport-info 0:"]);
    assert!(matches!(
        &stage.commanded()[..],
        [Command::Restart { remote, .. }] if remote.ufrag == "efgh"
    ));
    let candidate = "<candidate component='1' foundation='1' generation='0' id='c' ip='10.0.0.1' \
        network='0' port='9' priority='7' protocol='udp' type='host'/>";
    let with = |count: usize| {
        format!(
            "<content creator='initiator' name='0'>\
             <transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='efgh' pwd='x'>{}\
             </transport></content>",
            candidate.repeat(count)
        )
    };
    stage.act("romeo", "transport-info", "up-romeo", &with(3)).unwrap();
    assert!(stage.told().is_empty() && stage.commanded().is_empty());
    let refused = stage.act("romeo", "transport-info", "up-romeo", &with(1000)).unwrap_err();
    assert_eq!(refused.condition, ErrorCondition::NotAcceptable);
}

#[test]
fn offers_that_cannot_be_are_refused() {
    let offer = contents(1, "actpass");
    let sources = "<source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='1'/>".repeat(2);
    let many: String = (0..100)
        .map(|place| {
            let name = format!("name='{place}'");
            offer.split_inclusive("</content>").next().unwrap().replace("name='0'", &name)
        })
        .collect();
    for (offer, expected) in [
        (offer.replace("pwd='0123456789012345678901'", "pwd='short'"), ErrorCondition::BadRequest),
        (offer.replace("sha-256", "md5"), ErrorCondition::BadRequest),
        (offer.replace("name='1'", "name='0'"), ErrorCondition::BadRequest),
        (offer.replace("name='1'", "name='01234567890123456'"), ErrorCondition::BadRequest),
        (offer.replace("ssrc='1'", "ssrc='0'"), ErrorCondition::BadRequest),
        (offer.replace("id='96'", "id='111'"), ErrorCondition::BadRequest),
        (
            offer.replace("<source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='1'/>", ""),
            ErrorCondition::BadRequest,
        ),
        (
            offer.replace("</description>", &format!("{sources}</description>")),
            ErrorCondition::BadRequest,
        ),
        (many, ErrorCondition::NotAcceptable),
        (String::new(), ErrorCondition::BadRequest),
    ] {
        let mut stage = Stage::new();
        let joined = stage.join_as(&caller("a"), "u", &offer);
        assert_eq!(joined.unwrap_err().condition, expected, "{offer}");
        assert!(stage.conference.is_empty() && stage.fx.media.is_empty());
    }
    let mut stage = Stage::new();
    let other = offer.replace("'opus'", "'speex'").replace("'VP8'", "'H261'");
    stage.join_as(&caller("a"), "u", &other).unwrap();
    assert_eq!(stage.told(), ["a session-terminate unsupported-applications"]);
}

#[test]
fn a_lost_transport_ends_its_session() {
    let mut stage = Stage::two();
    let leg = stage.conference.people[&jid("romeo")].ups[0].leg;
    let Stage { conference, dice, fx } = &mut stage;
    conference.connected(leg, dice, fx);
    let roster = fx.out.last().unwrap().child("conference-info", ns::CONFERENCE_INFO).unwrap();
    let text = roster.to_string();
    assert!(
        text.contains("<status>connected</status>") && text.contains("<user-count>2"),
        "{text}"
    );
    conference.closed(leg, Why::Unreachable, dice, fx);
    let told = stage.told();
    assert_eq!(told[0], "romeo session-terminate connectivity-error");
    assert!(told.contains(&"juliet session-terminate success".to_owned()), "{told:?}");
    assert_eq!(stage.conference.devices().count(), 1);
    // Only what one gets: the rest stays.
    let mut stage = Stage::two();
    let leg = stage.conference.people[&jid("romeo")].downs[0].leg;
    let Stage { conference, dice, fx } = &mut stage;
    conference.closed(leg, Why::Insecure, dice, fx);
    assert_eq!(stage.told(), ["romeo session-terminate security-error"]);
    assert_eq!(stage.conference.devices().count(), 2);
    assert!(!stage.conference.has(leg));
}

#[test]
fn the_speaker_is_told_by_stream_and_occupant() {
    let mut stage = Stage::two();
    let up = &stage.conference.people[&jid("romeo")].ups[0];
    let (track, stream) = (up.contents[0].track, up.stream.clone());
    stage.conference.speaks(Some(track), &mut stage.dice, &mut stage.fx);
    let first = stage.fx.out[0].to_element().to_string();
    assert!(first.contains(&stream) && first.contains("hall@conference.capulet.example/romeo"));
    assert_eq!(stage.told().len(), 2);
    stage.conference.speaks(Some(TrackId(0)), &mut stage.dice, &mut stage.fx);
}
