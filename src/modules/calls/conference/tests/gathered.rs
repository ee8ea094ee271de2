//! Our own clients, who get all others by one session of the focus.

use super::dialects::answer;
use super::*;

fn stream(name: &str, id: &str, contents: [&str; 2]) -> String {
    let [audio, video] = contents;
    format!(
        "stream id={id} occupant=hall@conference.capulet.example/{name}[content name={audio} \
         content name={video}]"
    )
}

impl Stage {
    /// Juliet gets Romeo; the session by which she does.
    fn gathered() -> (Stage, String) {
        let mut stage = Stage::mixed(Dialect::Gathered);
        let sid = stage.down("juliet", 0).sid.clone();
        stage.act("juliet", "session-accept", &sid, &answer(["f1", "f2"])).unwrap();
        stage.said();
        stage.commanded();
        (stage, sid)
    }

    /// The nurse is got, too.
    fn with_nurse() -> (Stage, String) {
        let (mut stage, sid) = Stage::gathered();
        stage.join("nurse").unwrap();
        stage.act("juliet", "content-accept", &sid, &answer(["f3", "f4"])).unwrap();
        stage.said();
        stage.commanded();
        (stage, sid)
    }

    fn stream_of(&self, name: &str) -> String {
        self.conference.people[&jid(name)].ups[0].stream.clone()
    }

    fn said_to_juliet(&mut self) -> Vec<String> {
        let said = self.said().into_iter();
        said.filter(|line| line.starts_with("juliet") && !line.contains(" conference-info entity="))
            .collect()
    }
}

#[test]
fn all_streams_come_in_one_session_that_says_whose_they_are() {
    let mut stage = Stage::mixed(Dialect::Gathered);
    let sid = stage.down("juliet", 0).sid.clone();
    let romeo = stream("romeo", &stage.stream_of("romeo"), ["f1", "f2"]);
    let said = stage.said_to_juliet();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[1].starts_with(&format!("juliet session-initiate {sid} f1,f2 ")), "{said:?}");
    assert!(said[1].contains("user entity=xmpp:hall@conference.capulet.example/romeo"));
    assert!(said[1].ends_with(&romeo), "{said:?}");
    // While she has not answered, more has to wait.
    stage.join("nurse").unwrap();
    assert!(!stage.said().iter().any(|line| line.contains("content-add")));
    stage.commanded();
    stage.act("juliet", "session-accept", &sid, &answer(["f1", "f2"])).unwrap();
    assert_eq!(stage.opened()[0].outputs.len(), 2);
    let nurse = stream("nurse", &stage.stream_of("nurse"), ["f3", "f4"]);
    let said = stage.said_to_juliet();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with(&format!("juliet content-add {sid} f3,f4 ")), "{said:?}");
    assert!(said[0].ends_with(&nurse), "{said:?}");
    stage.act("juliet", "content-accept", &sid, &answer(["f3", "f4"])).unwrap();
    assert!(matches!(&stage.commanded()[..], [Command::AddOutput { .. }, _]));
}

#[test]
fn the_roster_and_who_speaks_are_told() {
    let (mut stage, _) = Stage::with_nurse();
    let track = stage.conference.people[&jid("romeo")].ups[0].contents[0].track;
    stage.conference.speaks(Some(track), &mut stage.dice, &mut stage.fx);
    let said = stage.said();
    assert!(said.iter().any(|line| line.starts_with("juliet session-info up-juliet speaker")));
    stage.act("nurse", "session-terminate", "up-nurse", "").unwrap();
    assert!(stage.said().iter().any(|line| line.starts_with("juliet conference-info")));
}

#[test]
fn the_session_ends_with_the_last_stream() {
    let (mut stage, sid) = Stage::with_nurse();
    let leg = stage.down("juliet", 0).leg;
    stage.act("romeo", "session-terminate", "up-romeo", "").unwrap();
    assert_eq!(stage.said_to_juliet(), [format!("juliet content-remove {sid} f1,f2")]);
    let commanded = stage.commanded();
    let stopped =
        |command: &&Command| matches!(command, Command::RemoveOutput { leg: at, .. } if *at == leg);
    assert_eq!(commanded.iter().filter(stopped).count(), 2);
    assert!(!commanded.contains(&Command::Close { leg }));
    stage.act("nurse", "session-terminate", "up-nurse", "").unwrap();
    assert_eq!(stage.said_to_juliet(), [format!("juliet session-terminate {sid}")]);
    assert!(stage.commanded().contains(&Command::Close { leg }));
    assert!(stage.conference.people[&jid("juliet")].downs.is_empty());
    // And begins again, on a transport of its own.
    stage.join("romeo").unwrap();
    let said = stage.said_to_juliet();
    assert!(said[0].starts_with("juliet session-initiate "), "{said:?}");
    assert!(!said[0].contains(&sid), "{said:?}");
}

#[test]
fn names_that_were_got_are_given_again() {
    let (mut stage, sid) = Stage::with_nurse();
    stage.act("romeo", "session-terminate", "up-romeo", "").unwrap();
    stage.said();
    stage.join("romeo").unwrap();
    let said = stage.said_to_juliet();
    assert!(said[0].starts_with(&format!("juliet content-add {sid} f1,f2 ")), "{said:?}");
    // He goes before she has answered: what is under way is not to be taken for somebody else's.
    stage.act("romeo", "session-terminate", "up-romeo", "").unwrap();
    stage.said();
    stage.join("romeo").unwrap();
    let said = stage.said_to_juliet();
    assert!(said[0].starts_with(&format!("juliet content-add {sid} f7,f8 ")), "{said:?}");
    let late = stage.act("juliet", "content-accept", &sid, &answer(["f1", "f2"]));
    assert_eq!(late.unwrap_err().condition, ErrorCondition::UnexpectedRequest);
}

#[test]
fn a_session_is_answered_whatever_is_left_of_its_offer() {
    let mut stage = Stage::mixed(Dialect::Gathered);
    let sid = stage.down("juliet", 0).sid.clone();
    stage.join("nurse").unwrap();
    stage.said();
    stage.act("romeo", "session-terminate", "up-romeo", "").unwrap();
    assert_eq!(stage.said_to_juliet(), [format!("juliet content-remove {sid} f1,f2")]);
    stage.commanded();
    stage.act("juliet", "session-accept", &sid, &answer(["f1", "f2"])).unwrap();
    let opened = stage.opened();
    assert_eq!((opened.len(), opened[0].outputs.len()), (1, 0));
    let said = stage.said_to_juliet();
    assert!(said[0].starts_with(&format!("juliet content-add {sid} f3,f4 ")), "{said:?}");
    stage.act("juliet", "content-accept", &sid, &answer(["f3", "f4"])).unwrap();
    assert!(matches!(&stage.commanded()[..], [Command::AddOutput { .. }, _]));
}

#[test]
fn mute_names_contents_of_the_one_session() {
    let (mut stage, sid) = Stage::gathered();
    let mute = "<mute xmlns='urn:xmpp:jingle:apps:rtp:info:1' creator='initiator'/>";
    stage.act("romeo", "session-info", "up-romeo", mute).unwrap();
    assert_eq!(
        stage.said_to_juliet(),
        [format!(
            "juliet session-info {sid} mute creator=initiator name=f1 mute creator=initiator \
             name=f2"
        )]
    );
}

#[test]
fn networks_are_looked_at_from_the_beginning() {
    let mut stage = Stage::new();
    let romeo = contents(1, "actpass").replace("<layer rid='h'/>", "");
    stage.join_as(&caller("romeo"), "up-romeo", &romeo).unwrap();
    let juliet = by(Dialect::Gathered, guest("juliet"));
    stage.join_as(&juliet, "up-juliet", &contents(9, "actpass")).unwrap();
    stage.commanded();
    let sid = stage.down("juliet", 0).sid.clone();
    let reported = "<rtp-hdrext xmlns='urn:xmpp:jingle:apps:rtp:rtp-hdrext:0' id='4' \
        uri='http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01'/>\
        </description>";
    let answer = answer(["f1", "f2"]).replace("</description>", reported);
    stage.act("juliet", "session-accept", &sid, &answer).unwrap();
    let extensions = &stage.opened()[0].extensions;
    assert!(extensions.iter().any(|(_, uri)| uri.contains("transport-wide-cc")), "{extensions:?}");
}

#[test]
fn an_offer_is_bounded() {
    let mut stage = Stage::new();
    stage.conference.here.participants = 20;
    for n in 0..9 {
        stage.join_as(&caller(&format!("n{n}")), "up", &contents(1, "actpass")).unwrap();
    }
    stage.said();
    let juliet = by(Dialect::Gathered, guest("juliet"));
    stage.join_as(&juliet, "up-juliet", &contents(9, "actpass")).unwrap();
    let offered = |stage: &Stage| stage.down("juliet", 0).with(Progress::Offered).count();
    assert_eq!(offered(&stage), 16);
    let sid = stage.down("juliet", 0).sid.clone();
    stage.said();
    stage.act("juliet", "session-accept", &sid, &answer(["f1", "f2"])).unwrap();
    assert_eq!(offered(&stage), 2);
    let said = stage.said_to_juliet();
    assert!(said[0].starts_with(&format!("juliet content-add {sid} f17,f18 ")), "{said:?}");
}
