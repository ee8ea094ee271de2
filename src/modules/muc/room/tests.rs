//! Rooms in memory.

use wello_store::Timestamp;
use wello_wire::error::Condition;
use wello_wire::stanza::{PresenceType, Stanza};
use wello_wire::xml::Element;

use super::*;

struct Hall {
    room: Room,
    ids: wello_store::ArchiveIds,
}

fn jid(text: &str) -> FullJid {
    text.parse().unwrap()
}

impl Hall {
    /// Juliet's room, with her in it.
    fn new(config: Config) -> Hall {
        let room = "hall@rooms.example".parse().unwrap();
        let mut room = Room::new(room, 1, config, Limits::default(), [7; 32]);
        room.found(&"juliet@a.example".parse().unwrap(), &mut Effects::default());
        room.locked = false;
        let mut hall = Hall { room, ids: wello_store::ArchiveIds::new(1, Timestamp::default()) };
        hall.enter("juliet@a.example/balcony", "juliet").unwrap();
        hall
    }

    fn enter(&mut self, from: &str, nick: &str) -> Result<Vec<String>, Condition> {
        let entering = Entering {
            from: jid(from),
            nick: nick.to_owned(),
            presence: Stanza::presence(PresenceType::Available),
            password: Password::Missing,
            pass: None,
            history: HistoryWish::default(),
            mav: None,
            is_focus: from.starts_with("hall@calls."),
        };
        let mut fx = Effects::default();
        self.room.enter(&entering, &mut fx).map_err(|error| error.condition)?;
        Ok(told(&fx))
    }

    fn speak(&mut self, from: &str, child: &str, second: i64) -> Result<Vec<String>, Condition> {
        let text = format!("<message xmlns='jabber:client' type='groupchat'>{child}</message>");
        let stanza = Stanza::from_element(text.parse().unwrap()).unwrap();
        let now = Timestamp::from_secs(second);
        let id = self.ids.next(now);
        let from = jid(from);
        let speech = Speech { from: &from, stanza: &stanza, now, id, keep: true, archive: true };
        let mut fx = Effects::default();
        self.room.speak(&speech, &mut fx).map_err(|error| error.condition)?;
        assert_eq!(fx.archive.is_some(), self.room.config.archive);
        Ok(told(&fx))
    }

    fn change(&mut self, by: &str, changes: &[Change]) -> Result<Vec<String>, Condition> {
        let mut fx = Effects::default();
        self.room.change(&jid(by), changes, &mut fx).map_err(|error| error.condition)?;
        Ok(told(&fx))
    }
}

/// Who gets what from whom, with the status codes.
fn told(fx: &Effects) -> Vec<String> {
    let line = |stanza: &Stanza| {
        let codes = stanza.child("x", wello_wire::ns::MUC_USER).into_iter().flat_map(|x| {
            x.children().filter(|child| child.name() == "status").filter_map(|s| s.attr("code"))
        });
        let codes = codes.fold(String::new(), |all, code| all + " " + code);
        let to = stanza.to.as_ref().unwrap().resource().unwrap_or("bare").to_owned();
        let from = stanza.from.as_ref().unwrap().resource().unwrap_or("room").to_owned();
        let type_ = stanza.type_.as_deref().unwrap_or("-");
        format!("{from} > {to}: {} {type_}{codes}", stanza.kind.name())
    };
    fx.out.iter().map(line).collect()
}

fn affiliation(jid: &str, affiliation: Affiliation) -> Change {
    Change::Affiliation { jid: jid.parse().unwrap(), affiliation, nick: None, reason: None }
}

#[test]
fn events_come_in_the_order_of_section_7_1() {
    let mut hall = Hall::new(Config::default());
    hall.speak("juliet@a.example/balcony", "<body>x</body>", 1).unwrap();
    let told = hall.enter("romeo@b.example/orchard", "romeo").unwrap();
    let expected = [
        "juliet > orchard: presence -",
        "romeo > balcony: presence -",
        "romeo > orchard: presence - 110",
        "juliet > orchard: message groupchat",
        "room > orchard: message groupchat",
    ];
    assert_eq!(told, expected);
}

#[test]
fn an_account_is_one_occupant_with_all_its_devices() {
    let mut hall = Hall::new(Config::default());
    hall.enter("juliet@a.example/tablet", "another").unwrap();
    assert_eq!(hall.room.occupant_count(), 1);
    let told = hall.speak("juliet@a.example/tablet", "<body>x</body>", 1).unwrap();
    let both = ["juliet > balcony: message groupchat", "juliet > tablet: message groupchat"];
    assert_eq!(told, both);
    let mut fx = Effects::default();
    let farewell = Stanza::presence(PresenceType::Unavailable);
    hall.room.leave(&jid("juliet@a.example/tablet"), &farewell, &[], &mut fx);
    assert_eq!(hall.room.occupant_count(), 1);
    hall.room.leave(&jid("juliet@a.example/balcony"), &farewell, &[], &mut fx);
    assert!(hall.room.is_empty());
}

#[test]
fn roles_whose_presence_is_not_broadcast_come_and_go_in_silence() {
    let broadcast = std::collections::BTreeSet::from([Role::Moderator]);
    let config = Config { moderated: true, presence_broadcast: broadcast, ..Config::default() };
    let mut hall = Hall::new(config);
    for number in 0..100 {
        let from = format!("v{number}@b.example/x");
        let told = hall.enter(&from, &format!("v{number}")).unwrap();
        let expected =
            ["juliet > x: presence -".to_owned(), format!("v{number} > x: presence - 110")];
        assert_eq!(told[..2], expected, "{number}");
        assert_eq!(told.len(), 3);
    }
}

#[test]
fn whoever_enters_is_told_of_the_others_as_they_are_now() {
    let mut hall = Hall::new(Config::default());
    hall.enter("romeo@b.example/orchard", "romeo").unwrap();
    let mut guests = 0;
    let mut seen = |hall: &mut Hall| {
        guests += 1;
        let from = format!("guest{guests}@b.example/x");
        let entering = Entering {
            from: jid(&from),
            nick: from.clone(),
            presence: Stanza::presence(PresenceType::Available),
            password: Password::Missing,
            pass: None,
            history: HistoryWish::default(),
            mav: None,
            is_focus: false,
        };
        let mut fx = Effects::default();
        hall.room.enter(&entering, &mut fx).unwrap();
        let about = |stanza: &&Stanza| {
            let occupant = hall.room.occupant_of_account(&jid("romeo@b.example/orchard"));
            stanza.from.as_ref() == occupant.map(|occupant| &*occupant.jid)
        };
        String::from_utf8(fx.out.iter().find(about).unwrap().to_bytes()).unwrap()
    };
    let before = seen(&mut hall);
    assert!(before.contains("participant") && !before.contains("romeo@b.example"), "{before}");
    assert_eq!(before.replace("guest1@", "guest2@"), seen(&mut hall));

    let away = "<presence xmlns='jabber:client'><show>away</show></presence>";
    let away = Stanza::from_element(away.parse().unwrap()).unwrap();
    let tell = |hall: &mut Hall, device: &str, nick: &str| {
        let mut fx = Effects::default();
        hall.room.update(&jid(device), nick, &away, &mut fx).unwrap();
    };
    tell(&mut hall, "romeo@b.example/orchard", "romeo");
    assert!(seen(&mut hall).contains("<show>away</show>"));
    tell(&mut hall, "romeo@b.example/orchard", "montague");
    assert!(seen(&mut hall).contains("/montague'"));
    let role = Change::Role { nick: "montague".into(), role: Some(Role::Visitor), reason: None };
    hall.change("juliet@a.example/balcony", &[role]).unwrap();
    assert!(seen(&mut hall).contains("visitor"));
    let member = affiliation("romeo@b.example", Affiliation::Member);
    hall.change("juliet@a.example/balcony", &[member]).unwrap();
    assert!(seen(&mut hall).contains("affiliation='member'"));
    hall.room.config.whois = config::Whois::Anyone;
    assert!(seen(&mut hall).contains("jid='romeo@b.example/orchard'"));

    hall.enter("romeo@b.example/tablet", "montague").unwrap();
    assert!(seen(&mut hall).contains("jid='romeo@b.example/tablet'"));
    let farewell = Stanza::presence(PresenceType::Unavailable);
    hall.room.leave(&jid("romeo@b.example/tablet"), &farewell, &[], &mut Effects::default());
    assert!(seen(&mut hall).contains("jid='romeo@b.example/orchard'"));
}

#[test]
fn a_kick_reaches_all_and_bans_last() {
    let mut hall = Hall::new(Config::default());
    hall.enter("romeo@b.example/orchard", "romeo").unwrap();
    let kick = Change::Role { nick: "romeo".into(), role: None, reason: None };
    let told = hall.change("juliet@a.example/balcony", std::slice::from_ref(&kick)).unwrap();
    let expected = [
        "romeo > orchard: presence unavailable 307 110",
        "romeo > balcony: presence unavailable 307",
    ];
    assert_eq!(told, expected);
    let again = hall.change("juliet@a.example/balcony", &[kick]);
    assert_eq!(again.unwrap_err(), Condition::ItemNotFound);
    let ban = affiliation("romeo@b.example", Affiliation::Outcast);
    hall.change("juliet@a.example/balcony", &[ban]).unwrap();
    assert_eq!(hall.enter("romeo@b.example/orchard", "romeo").unwrap_err(), Condition::Forbidden);
}

#[test]
fn all_changes_are_made_or_none() {
    let mut hall = Hall::new(Config::default());
    let good = affiliation("romeo@b.example", Affiliation::Member);
    let last_owner = affiliation("juliet@a.example", Affiliation::Member);
    let refused = hall.change("juliet@a.example/balcony", &[good, last_owner.clone()]);
    assert_eq!(refused.unwrap_err(), Condition::Conflict);
    assert_eq!(hall.room.affiliation("romeo@b.example"), Affiliation::None);
    let heir = affiliation("romeo@b.example", Affiliation::Owner);
    hall.change("juliet@a.example/balcony", &[heir, last_owner]).unwrap();
    assert_eq!(hall.room.affiliation("juliet@a.example"), Affiliation::Member);
}

#[test]
fn slow_mode_lets_admins_and_the_patient_speak() {
    let mut hall = Hall::new(Config { slow_mode: 10, ..Config::default() });
    hall.enter("romeo@b.example/orchard", "romeo").unwrap();
    let body = "<body>x</body>";
    hall.speak("romeo@b.example/orchard", body, 100).unwrap();
    let refused = hall.speak("romeo@b.example/orchard", body, 109);
    assert_eq!(refused.unwrap_err(), Condition::PolicyViolation);
    let typing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
    hall.speak("romeo@b.example/orchard", typing, 109).unwrap();
    hall.speak("romeo@b.example/orchard", body, 110).unwrap();
    for second in 100..103 {
        hall.speak("juliet@a.example/balcony", body, second).unwrap();
    }
}

#[test]
fn a_room_comes_back_from_its_rows() {
    let mut hall = Hall::new(Config { name: "Hall".into(), slow_mode: 3, ..Config::default() });
    hall.change("juliet@a.example/balcony", &[affiliation("romeo@b.example", Affiliation::Admin)])
        .unwrap();
    hall.speak("juliet@a.example/balcony", "<subject>Balconies</subject>", 5).unwrap();
    let (row, rows) = (hall.room.row(), hall.room.affiliation_rows());
    let back = Room::restore(&row, rows.clone(), Limits::default(), [7; 32]).unwrap();
    assert_eq!(back.config, hall.room.config);
    assert_eq!(back.subject().as_deref(), Some("Balconies"));
    assert_eq!(back.affiliation("romeo@b.example"), Affiliation::Admin);
    assert_eq!((back.row(), back.affiliation_rows()), (row, rows));
    let account = "romeo@b.example".parse().unwrap();
    assert_eq!(back.occupant_id(&account), hall.room.occupant_id(&account));
}

#[test]
fn a_client_that_knows_a_version_is_told_what_changed() {
    use affiliations::Diff;
    let mut hall = Hall::new(Config::default());
    let by = "juliet@a.example/balcony";
    hall.change(by, &[affiliation("romeo@b.example", Affiliation::Member)]).unwrap();
    let known = hall.room.mav_now();
    assert_eq!(hall.room.diff(Some(&known)), Diff::Nothing);
    hall.change(by, &[affiliation("romeo@b.example", Affiliation::None)]).unwrap();
    let romeo = "romeo@b.example".parse().unwrap();
    assert_eq!(hall.room.diff(Some(&known)), Diff::Since(vec![(&romeo, Affiliation::None)]));
    let juliet = "juliet@a.example".parse().unwrap();
    for unknown in [None, Some("x"), Some("2-1"), Some("1-99")] {
        assert_eq!(hall.room.diff(unknown), Diff::Full(vec![(&juliet, Affiliation::Owner)]));
    }
}

#[test]
fn affiliations_taken_back_are_forgotten_at_last() {
    let mut hall = Hall::new(Config::default());
    let by = "juliet@a.example/balcony";
    let first = hall.room.mav_now();
    for number in 0..600 {
        let jid = format!("{number}@b.example");
        hall.change(by, &[affiliation(&jid, Affiliation::Member)]).unwrap();
        hall.change(by, &[affiliation(&jid, Affiliation::None)]).unwrap();
    }
    assert!(hall.room.affiliation_rows().len() < 520);
    assert!(matches!(hall.room.diff(Some(&first)), affiliations::Diff::Full(_)));
}

#[test]
fn the_room_ends_for_everybody() {
    let mut hall = Hall::new(Config::default());
    hall.enter("romeo@b.example/orchard", "romeo").unwrap();
    let mut fx = Effects::default();
    hall.room.destroy(&Element::new("destroy", wello_wire::ns::MUC_USER), &mut fx);
    assert!(fx.destroyed && hall.room.is_empty());
    let mut told = told(&fx);
    told.sort();
    let expected =
        ["juliet > balcony: presence unavailable 110", "romeo > orchard: presence unavailable 110"];
    assert_eq!(told, expected);
}

#[test]
fn the_focus_of_its_calls_takes_nobodys_place() {
    let mut hall = Hall::new(Config {
        max_users: 2,
        members_only: true,
        moderated: true,
        ..Config::default()
    });
    hall.change("juliet@a.example/balcony", &[affiliation("romeo@b.example", Affiliation::Member)])
        .unwrap();
    let calls = "hall@calls.example/Calls";
    hall.enter(calls, "juliet").unwrap();
    let focus = hall.room.occupant_of(&jid(calls)).unwrap();
    assert_eq!((focus.nick(), focus.role), ("juliet 2", Role::Participant));
    assert_eq!(hall.room.occupant_count(), 1);
    hall.enter("romeo@b.example/orchard", "romeo").unwrap();
    assert_eq!(hall.room.occupant_count(), 2);
    let mut fx = Effects::default();
    hall.room
        .update(&jid(calls), "juliet", &Stanza::presence(PresenceType::Available), &mut fx)
        .unwrap();
    assert!(told(&fx).contains(&"juliet 2 > orchard: presence -".to_owned()), "{:?}", told(&fx));
    hall.room.leave(&jid(calls), &Stanza::presence(PresenceType::Unavailable), &[], &mut fx);
    assert_eq!(hall.room.occupant_count(), 2);
    hall.change(
        "juliet@a.example/balcony",
        &[affiliation("hall@calls.example", Affiliation::Outcast)],
    )
    .unwrap();
    assert_eq!(hall.enter(calls, "Calls"), Err(Condition::Forbidden));
}
