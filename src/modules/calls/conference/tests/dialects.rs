//! The dialects of Movim and Tigase, and who speaks what to whom.

use super::*;

impl Stage {
    /// What was told since the last time, with the payloads that are not Jingle.
    pub(super) fn said(&mut self) -> Vec<String> {
        let out = std::mem::take(&mut self.fx.out);
        let payload = |stanza: &Stanza| {
            let to = stanza.to.as_ref().unwrap().local().unwrap().to_owned();
            let payload = stanza.children().next().unwrap();
            let Ok(jingle) = Jingle::parse(payload) else {
                return format!("{to} {}", brief(payload));
            };
            let names = jingle.contents.iter().map(|content| content.name.as_str());
            let names: Vec<&str> = names.collect();
            let others: Vec<String> = jingle.others.iter().map(brief).collect();
            let what = [names.join(","), others.join(" ")].join(" ");
            format!("{to} {} {} {}", jingle.action.name(), jingle.sid, what.trim())
                .trim_end()
                .to_owned()
        };
        out.iter().map(payload).collect()
    }

    /// Romeo is there by the usual dialect; Juliet joins by another one.
    pub(super) fn mixed(dialect: Dialect) -> Stage {
        let mut stage = Stage::new();
        stage.join("romeo").unwrap();
        stage.told();
        stage.commanded();
        stage.join_as(&by(dialect, guest("juliet")), "up-juliet", &contents(9, "actpass")).unwrap();
        stage
    }

    pub(super) fn down(&self, name: &str, place: usize) -> &Down {
        &self.conference.people[&jid(name)].downs[place]
    }
}

/// Name, attributes and children, without namespaces.
fn brief(element: &Element) -> String {
    let attrs: String =
        element.attrs().iter().map(|attr| format!(" {}={}", attr.name, attr.value)).collect();
    let children: Vec<String> = element.children().map(brief).collect();
    match children.is_empty() {
        true => format!("{}{attrs}", element.name()),
        false => format!("{}{attrs}[{}]", element.name(), children.join(" ")),
    }
}

/// The answer to contents that were offered by these names.
pub(super) fn answer(names: [&str; 2]) -> String {
    contents(2, "active")
        .replace("name='0'", &format!("name='{}'", names[0]))
        .replace("name='1'", &format!("name='{}'", names[1]))
}

const ROMEO: &str = "hall@conference.capulet.example/romeo";

#[test]
fn movim_gets_everything_in_its_own_session() {
    let mut stage = Stage::mixed(Dialect::Contents);
    let tag = format!("jingle-participant participant={ROMEO}");
    let said = stage.said();
    // No roster: it is in the room.
    assert_eq!(
        said[..2],
        [
            "juliet session-accept up-juliet 0,1 conference-info isfocus=true".to_owned(),
            format!("juliet content-add up-juliet f1,f2 {tag}"),
        ]
    );
    assert!(said[2].starts_with("romeo session-initiate name"), "{said:?}");
    assert_eq!(stage.opened().len(), 1);
    // By its content-accept the transport is known.
    stage.act("juliet", "content-accept", "up-juliet", &answer(["f1", "f2"])).unwrap();
    let opened = stage.opened();
    assert_eq!((opened.len(), opened[0].outputs.len()), (1, 2));
    assert_eq!(opened[0].outputs[0].mid.as_str(), "f1");
    let again = stage.act("juliet", "content-accept", "up-juliet", &answer(["f1", "f2"]));
    assert_eq!(again.unwrap_err().condition, ErrorCondition::UnexpectedRequest);
    // Credentials are those of the transport that the content is on.
    let leg = stage.down("juliet", 0).leg;
    let fresh = format!("<content creator='initiator' name='f2'>{TRANSPORT}</content>");
    stage.act("juliet", "transport-info", "up-juliet", &fresh.replace("SETUP", "active")).unwrap();
    assert!(matches!(stage.commanded()[..], [Command::Restart { leg: at, .. }] if at == leg));
    stage.said();
    let mute = "<mute xmlns='urn:xmpp:jingle:apps:rtp:info:1' creator='initiator' name='1'/>";
    stage.act("romeo", "session-info", "up-romeo", mute).unwrap();
    let said = stage.said();
    assert_eq!(
        said[0],
        format!("juliet session-info up-juliet mute creator=initiator name=f2 {tag}")
    );
    stage.act("romeo", "session-terminate", "up-romeo", "").unwrap();
    assert_eq!(stage.said()[0], format!("juliet content-remove up-juliet f1,f2 {tag}"));
}

#[test]
fn movim_is_told_whose_each_stream_is_where_several_are_there() {
    let mut stage = Stage::new();
    for name in ["romeo", "nurse"] {
        stage.join(name).unwrap();
    }
    stage.told();
    let juliet = by(Dialect::Contents, guest("juliet"));
    stage.join_as(&juliet, "up-juliet", &contents(10, "actpass")).unwrap();
    let added = |line: &String| line.starts_with("juliet content-add");
    let mut said: Vec<String> = stage.said().into_iter().filter(added).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    said.dedup_by_key(|line| line.split("participant=").nth(1).map(str::to_owned));
    assert_eq!(said.len(), 2, "one participant twice: {said:?}");
    let [one, other] = [0, 1].map(|place| stage.down("juliet", place));
    assert_ne!(one.leg, other.leg);
    assert_eq!((one.contents.len(), other.contents.len()), (2, 2));
}

#[test]
fn movim_reads_senders_as_directions() {
    let mut stage = Stage::mixed(Dialect::Contents);
    assert_eq!(
        stage.told()[..2],
        [
            "juliet session-accept 0:responder 1:responder conference-info",
            "juliet content-add f1:initiator f2:initiator jingle-participant",
        ]
    );
}

#[test]
fn movim_shares_its_screen_by_a_second_session() {
    let mut stage = Stage::mixed(Dialect::Contents);
    let juliet = by(Dialect::Contents, guest("juliet"));
    stage.told();
    stage.join_as(&juliet, "screen", &contents(20, "actpass")).unwrap();
    let told = stage.told();
    assert_eq!(told[0], "juliet session-accept 0:responder 1:responder conference-info");
    assert!(told[1].starts_with("romeo session-initiate"), "{told:?}");
    stage.act("juliet", "session-terminate", "screen", "").unwrap();
    assert_eq!(stage.told(), ["romeo session-terminate cancel"]);
    // With the first one everything ends.
    stage.join_as(&juliet, "screen", &contents(20, "actpass")).unwrap();
    stage.told();
    stage.act("juliet", "session-terminate", "up-juliet", "").unwrap();
    let told = stage.told();
    assert!(told.contains(&"juliet session-terminate success".to_owned()), "{told:?}");
    assert_eq!(stage.conference.devices().count(), 1);
}

#[test]
fn a_pair_has_all_streams_on_one_transport() {
    let mut stage = Stage::mixed(Dialect::Pair);
    let joined = format!("juliet joined[publisher jid={ROMEO}[stream mid=f1 stream mid=f2]]");
    let said = stage.said();
    assert_eq!(said[0], "juliet session-accept up-juliet 0,1 conference-info isfocus=true");
    assert_eq!(said[1], joined);
    let sid = stage.down("juliet", 0).sid.clone();
    assert_eq!(said[2], format!("juliet session-initiate {sid} f1,f2"));
    // While she has not answered, more has to wait.
    stage.join("nurse").unwrap();
    assert!(!stage.told().iter().any(|line| line.starts_with("juliet content-add")));
    stage.commanded();
    stage.act("juliet", "session-accept", &sid, &answer(["f1", "f2"])).unwrap();
    let opened = stage.opened();
    assert_eq!((opened.len(), opened[0].outputs.len()), (1, 2));
    let said = stage.said();
    assert_eq!(
        said,
        [
            "juliet joined[publisher jid=hall@conference.capulet.example/nurse[stream mid=f3 \
             stream mid=f4]]"
                .to_owned(),
            format!("juliet content-add {sid} f3,f4"),
        ]
    );
    stage.act("juliet", "content-accept", &sid, &answer(["f3", "f4"])).unwrap();
    let commanded = stage.commanded();
    assert!(
        matches!(&commanded[..], [Command::AddOutput { output, .. }, _] if output.mid.as_str() == "f3"),
        "{commanded:?}"
    );
    stage.act("romeo", "session-terminate", "up-romeo", "").unwrap();
    let said = stage.said();
    assert!(said.contains(&format!("juliet content-remove {sid} f1,f2")), "{said:?}");
    let left = format!("juliet left[publisher jid={ROMEO}[stream mid=f1 stream mid=f2]]");
    assert!(said.contains(&left), "{said:?}");
    // The transport stays for those who come.
    let leg = stage.down("juliet", 0).leg;
    assert!(!stage.commanded().contains(&Command::Close { leg }));
    stage.act("nurse", "session-terminate", "up-nurse", "").unwrap();
    assert_eq!(stage.down("juliet", 0).contents.len(), 0);
    stage.told();
    stage.join("romeo").unwrap();
    let told = stage.told();
    assert!(told.contains(&"juliet content-add f5:initiator f6:initiator".to_owned()), "{told:?}");
}

#[test]
fn what_is_gone_before_it_was_taken_is_taken_back() {
    let mut stage = Stage::mixed(Dialect::Pair);
    stage.told();
    stage.act("romeo", "session-terminate", "up-romeo", "").unwrap();
    let told = stage.told();
    assert_eq!(told[0], "juliet session-terminate cancel");
    assert!(stage.conference.people[&jid("juliet")].downs.is_empty());
    stage.join("romeo").unwrap();
    let told = stage.told();
    let again = "juliet session-initiate f3:initiator f4:initiator".to_owned();
    assert!(told.contains(&again), "{told:?}");
}

#[test]
fn numbers_of_one_transport_have_one_meaning() {
    let mut stage = Stage::mixed(Dialect::Pair);
    // Her numbers are different from his: VP8 is 120.
    let nurse = contents(3, "actpass").replace("'96'", "'120'").replace("'97'", "'121'");
    stage.join_as(&caller("nurse"), "up-nurse", &nurse).unwrap();
    let sid = stage.down("juliet", 0).sid.clone();
    stage.act("juliet", "session-accept", &sid, &answer(["f1", "f2"])).unwrap();
    stage.act("juliet", "content-accept", &sid, &answer(["f3", "f4"])).unwrap();
    let commanded = stage.commanded();
    let outputs = commanded.iter().filter_map(|command| match command {
        Command::AddOutput { output, .. } => Some(output.payloads.clone()),
        _ => None,
    });
    assert_eq!(outputs.collect::<Vec<_>>(), [[(111, 111)], [(120, 96)]]);
}

#[test]
fn an_error_to_an_offer_makes_room_for_the_next() {
    let mut stage = Stage::mixed(Dialect::Pair);
    let asked = stage.down("juliet", 0).asked.clone().unwrap();
    stage.told();
    let Stage { conference, dice, fx } = &mut stage;
    conference.bounced(&jid("juliet"), "something", dice, fx);
    assert_eq!(conference.people[&jid("juliet")].downs.len(), 1);
    conference.bounced(&jid("juliet"), &asked, dice, fx);
    assert!(conference.people[&jid("juliet")].downs.is_empty());
}

#[test]
fn who_hides_the_call_in_the_room_has_left_it() {
    let mut stage = Stage::new();
    let shows = Guest { shows_call: true, ..guest("juliet") };
    stage.join_as(&by(Dialect::Sessions, shows.clone()), "u", &contents(1, "actpass")).unwrap();
    stage.told();
    stage.room(std::slice::from_ref(&shows), &[]);
    assert!(stage.told().is_empty());
    stage.room(&[guest("juliet")], &[]);
    assert_eq!(stage.told(), ["juliet session-terminate success"]);
    assert!(stage.conference.is_empty());
}

#[test]
fn a_call_may_be_for_audio_alone() {
    let mut stage = Stage::new();
    stage.conference.here.media = vec![Media::Audio];
    stage.join("juliet").unwrap();
    assert_eq!(stage.told(), ["juliet session-accept 0:initiator conference-info"]);
}
