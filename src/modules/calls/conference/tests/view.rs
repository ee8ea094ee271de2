use super::*;

/// What the engine is told of the cameras that somebody wants to see, since it was looked at.
fn watched(stage: &mut Stage) -> Vec<(LegId, Option<usize>, Vec<LegId>)> {
    let watched = stage.commanded().into_iter().filter_map(|command| match command {
        Command::Watch { leg, speakers, own } => Some((leg, speakers, own)),
        _ => None,
    });
    watched.collect()
}

fn legs(stage: &Stage, name: &str) -> (Vec<LegId>, Vec<LegId>) {
    let person = &stage.conference.people[&jid(name)];
    let downs = person.downs.iter().map(|down| down.leg);
    (downs.collect(), person.ups.iter().map(|up| up.leg).collect())
}

#[test]
fn a_receiver_says_how_many_speakers_it_wants_to_see() {
    let mut stage = Stage::two();
    let wish = "<last-n xmlns='urn:wello:calls:0' count='1'/>";
    stage.act("juliet", "session-info", "up-juliet", wish).unwrap();
    let (downs, ups) = legs(&stage, "juliet");
    assert_eq!(watched(&mut stage), [(downs[0], Some(1), ups.clone())]);
    // It holds for who comes later.
    stage.join("nurse").unwrap();
    stage.commanded();
    stage.accept("juliet");
    let (downs, _) = legs(&stage, "juliet");
    let both = |speakers| downs.iter().map(|leg| (*leg, speakers, ups.clone())).collect::<Vec<_>>();
    assert_eq!(watched(&mut stage), both(Some(1)));
    // On any of its sessions; without a number there are as many as everybody sees.
    let sid = stage.conference.people[&jid("juliet")].downs[0].sid.clone();
    stage.act("juliet", "session-info", &sid, "<last-n xmlns='urn:wello:calls:0'/>").unwrap();
    assert_eq!(watched(&mut stage), both(None));
    // Others have said nothing.
    stage.accept("romeo");
    assert_eq!(watched(&mut stage), []);
}

#[test]
fn a_number_of_speakers_is_a_number() {
    let mut stage = Stage::two();
    for wrong in ["-1", "all", ""] {
        let wish = format!("<last-n xmlns='urn:wello:calls:0' count='{wrong}'/>");
        let refused = stage.act("juliet", "session-info", "up-juliet", &wish);
        assert_eq!(refused.unwrap_err().condition, ErrorCondition::BadRequest, "{wrong}");
    }
    assert_eq!(watched(&mut stage), []);
}
