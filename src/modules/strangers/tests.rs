use wello_store::{StrangerPolicy, StrangerVerdict};
use wello_wire::stanza::{MessageType, Stanza};

use super::policy::{Verdict, decide, is_invitation};

#[test]
fn the_table_of_verdicts() {
    use MessageType::{Chat, Error, Groupchat, Headline, Normal};
    use StrangerPolicy::{Accept, Quarantine, Refuse};
    let refused = Some(StrangerVerdict::Refused);
    let held = Some(StrangerVerdict::Held);
    for (policy, type_, before, keep, room, expected) in [
        (Accept, Chat, None, true, true, Verdict::Pass),
        (Accept, Normal, None, true, false, Verdict::Drop),
        (Refuse, Chat, None, true, false, Verdict::Refuse),
        (Refuse, Chat, held, true, false, Verdict::Refuse),
        (Refuse, Error, None, true, false, Verdict::Drop),
        (Refuse, Headline, None, true, false, Verdict::Drop),
        (Quarantine, Chat, None, true, true, Verdict::Hold),
        (Quarantine, Normal, held, true, true, Verdict::Hold),
        (Quarantine, Chat, held, true, false, Verdict::Refuse),
        (Quarantine, Chat, None, false, true, Verdict::Drop),
        (Quarantine, Chat, refused, true, true, Verdict::Refuse),
        (Quarantine, Groupchat, None, true, true, Verdict::Refuse),
        (Quarantine, Error, None, true, true, Verdict::Drop),
    ] {
        let verdict = decide(policy, type_, before, keep, room).0;
        assert_eq!(verdict, expected, "{policy:?} {type_:?} {before:?} {keep} {room}");
    }
}

#[test]
fn both_kinds_of_invitations_are_known() {
    let invites = |child: &str| {
        let text = format!("<message xmlns='jabber:client'>{child}</message>");
        is_invitation(&Stanza::from_element(text.parse().unwrap()).unwrap())
    };
    assert!(invites("<x xmlns='jabber:x:conference' jid='r@c'/>"));
    assert!(invites("<x xmlns='http://jabber.org/protocol/muc#user'><invite from='a@b'/></x>"));
    assert!(!invites("<x xmlns='http://jabber.org/protocol/muc#user'/>"));
    assert!(!invites("<body>x</body>"));
}
