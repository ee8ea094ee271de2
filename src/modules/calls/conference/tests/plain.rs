use super::*;

/// An offer of a client that knows only calls between two.
fn offer(bundled: bool) -> Jingle {
    let video = "<source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='2'/></description>";
    let contents = contents(1, "actpass")
        .replace(" senders='initiator'", "")
        .replace("<simulcast xmlns='urn:wello:calls:0'><layer rid='l'/><layer rid='h'/></simulcast></description>", video);
    let group = "<group xmlns='urn:xmpp:jingle:apps:grouping:0' semantics='BUNDLE'>\
        <content name='0'/><content name='1'/></group>";
    let group = if bundled { group } else { "" };
    jingle("session-initiate", "plain", &format!("{group}{contents}"))
}

fn plain(guest: &Guest) -> Caller {
    let called = "hall@calls.capulet.example/focus".parse().unwrap();
    Caller { called, ..by(Dialect::Plain, guest.clone()) }
}

impl Stage {
    fn join_plain(&mut self, guest: &Guest, bundled: bool) -> Result<(), StanzaError> {
        let caller = plain(guest);
        self.conference.join(&caller, &offer(bundled), &mut self.dice, &mut self.fx)
    }

    fn pictures(&mut self) -> Vec<(TrackId, Vec<(u8, u8)>)> {
        self.commanded();
        self.conference.choose_pictures(&mut self.fx);
        let switched = self.commanded().into_iter().map(|command| match command {
            Command::Switch { track, payloads, .. } => (track, payloads),
            other => panic!("{other:?}"),
        });
        switched.collect()
    }

    fn track(&self, name: &str, media: Media) -> TrackId {
        let up = &self.conference.people[&jid(name)].ups[0];
        up.contents.iter().find(|sent| sent.offered.media == media).unwrap().track
    }

    fn speaks(&mut self, name: &str) {
        let track = self.track(name, Media::Audio);
        self.conference.speaks(Some(track), &mut self.dice, &mut self.fx);
    }
}

#[test]
fn it_gets_all_by_the_session_by_which_it_sends() {
    let mut stage = Stage::new();
    stage.join("juliet").unwrap();
    stage.told();
    stage.commanded();
    stage.join_plain(&guest("romeo"), true).unwrap();
    let accept = stage.fx.out[0].to_element().to_string();
    assert!(accept.contains("from='hall@calls.capulet.example/focus'"), "{accept}");
    assert!(accept.matches("<source ").count() >= 3, "{accept}");
    assert_eq!(
        stage.told(),
        [
            "romeo session-accept 0:both 1:both conference-info",
            // To others he is one of them.
            "juliet session-initiate 0:initiator 1:initiator conference-info stream",
        ]
    );
    let commanded = stage.commanded();
    let [
        Command::Open(leg),
        Command::AddMix { track: mix, .. },
        Command::AddOutput { output: sound, .. },
        Command::AddOutput { output: picture, .. },
    ] = &commanded[..]
    else {
        panic!("{commanded:?}")
    };
    assert!(leg.tracks.len() == 2 && leg.outputs.is_empty() && !leg.controlling);
    assert_eq!((sound.track, &sound.payloads[..]), (mix.track, &[(111, 111)][..]));
    assert!(picture.rtx.is_some() && picture.payloads.is_empty());
    assert_eq!(stage.pictures(), [(stage.track("juliet", Media::Video), vec![(96, 96)])]);
    assert!(stage.pictures().is_empty());
    // Who joins later is not offered to him, but he is to who joins.
    stage.join("nurse").unwrap();
    let told = stage.told();
    assert!(!told.iter().any(|line| line.starts_with("romeo")), "{told:?}");
    assert_eq!(told.iter().filter(|line| line.starts_with("nurse session-initiate")).count(), 2);
}

#[test]
fn its_picture_is_that_of_who_speaks() {
    let mut stage = Stage::new();
    stage.join_plain(&guest("romeo"), true).unwrap();
    assert!(stage.pictures().is_empty());
    stage.join("juliet").unwrap();
    stage.join("nurse").unwrap();
    let (juliet, nurse) = (stage.track("juliet", Media::Video), stage.track("nurse", Media::Video));
    let shown = |stage: &mut Stage| {
        let pictures = stage.pictures();
        pictures.into_iter().map(|(track, _)| track).collect::<Vec<_>>()
    };
    shown(&mut stage);
    stage.speaks("nurse");
    assert_eq!(shown(&mut stage), [nurse]);
    // Nobody is shown himself, and a pause changes nothing.
    stage.speaks("romeo");
    stage.conference.speaks(None, &mut stage.dice, &mut stage.fx);
    assert!(shown(&mut stage).is_empty());
    let mute = "<mute xmlns='urn:xmpp:jingle:apps:rtp:info:1' creator='initiator' name='1'/>";
    stage.act("nurse", "session-info", "up-nurse", mute).unwrap();
    assert_eq!(shown(&mut stage), [juliet]);
    stage.act("juliet", "session-terminate", "up-juliet", "").unwrap();
    assert!(shown(&mut stage).is_empty());
}

#[test]
fn it_may_have_a_transport_for_each_content() {
    let mut stage = Stage::new();
    stage.join_plain(&guest("romeo"), false).unwrap();
    let accept = stage.fx.out[0].to_element().to_string();
    assert!(!accept.contains("BUNDLE"), "{accept}");
    let opened = stage.opened();
    let [sound, picture] = &opened[..] else { panic!("{opened:?}") };
    assert_ne!(sound.local.ufrag, picture.local.ufrag);
    assert_eq!((sound.tracks.len(), picture.tracks.len()), (1, 1));
    assert!(stage.conference.has(picture.leg));
    let fresh = format!("<content creator='initiator' name='1'>{TRANSPORT}</content>");
    let fresh = fresh.replace("SETUP", "actpass").replace("abcd", "efgh");
    stage.act("romeo", "transport-info", "plain", &fresh).unwrap();
    let restarted = stage.commanded();
    assert!(matches!(restarted[..], [Command::Restart { leg, .. }] if leg == picture.leg));
    stage.act("romeo", "session-terminate", "plain", "").unwrap();
    let closed: Vec<LegId> = stage
        .commanded()
        .iter()
        .map(|command| match command {
            Command::Close { leg } => *leg,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(closed, [sound.leg, picture.leg]);
}

#[test]
fn hold_works_both_ways() {
    let mut stage = Stage::new();
    stage.join_plain(&guest("romeo"), true).unwrap();
    for (senders, forwarded, wanted) in
        [("none", false, false), ("initiator", true, false), ("both", true, true)]
    {
        stage.commanded();
        let modify = format!("<content creator='initiator' name='0' senders='{senders}'/>");
        stage.act("romeo", "content-modify", "plain", &modify).unwrap();
        let commanded = stage.commanded();
        let [Command::Forward { on, .. }, Command::Pause { paused, .. }] = commanded[..] else {
            panic!("{commanded:?}")
        };
        assert_eq!((on, !paused), (forwarded, wanted), "{senders}");
    }
    let visitor = Guest { voice: false, ..guest("romeo") };
    stage.told();
    stage.room(std::slice::from_ref(&visitor), &[]);
    assert_eq!(stage.told(), ["romeo content-modify 0:responder 1:responder"]);
    let mut stage = Stage::new();
    stage.join_plain(&visitor, true).unwrap();
    assert_eq!(stage.told(), ["romeo session-accept 0:responder 1:responder conference-info"]);
}

#[test]
fn mixes_are_bounded() {
    let mut stage = Stage::new();
    stage.join_plain(&guest("a"), true).unwrap();
    let again = stage.join_plain(&guest("a"), true).unwrap_err();
    assert_eq!(again.condition, ErrorCondition::Conflict);
    stage.join_plain(&guest("b"), true).unwrap();
    let third = stage.join_plain(&guest("c"), true).unwrap_err();
    assert_eq!(third.condition, ErrorCondition::ResourceConstraint);
    stage.join("c").unwrap();
    let speex = contents(1, "actpass").replace("'opus'", "'speex'").replace("'VP8'", "'H261'");
    let mut stage = Stage::new();
    let other = jingle("session-initiate", "u", &speex);
    let Stage { conference, dice, fx } = &mut stage;
    conference.join(&plain(&guest("a")), &other, dice, fx).unwrap();
    assert_eq!(stage.told(), ["a session-terminate unsupported-applications"]);
    assert!(stage.conference.is_empty());
}
