use super::*;

const FEW: &str = "[egress]\nnew_strangers_per_hour = 3\nnew_strangers_per_day = 5\n\
    new_domains_per_day = 2\nstrangers_per_hour = 4";
const WAIT: Option<&str> = Some("resource-constraint");

fn write_to(peer: &str) -> String {
    format!("<message to='{peer}' type='chat'><body>buy</body></message>")
}

/// What becomes of a message to the peer.
async fn write(server: &Server, session: &Arc<Session>, peer: &str) -> Option<String> {
    condition(&server.say(session, &write_to(peer)).await)
}

#[tokio::test]
async fn a_flood_to_strangers_is_stopped_and_written_down() {
    let server = Server::with(FEW).await;
    let romeo = server.session("romeo").await;
    for peer in ["a@x.example", "b@x.example", "a@x.example", "c@y.example"] {
        assert_eq!(write(&server, &romeo, peer).await, None, "{peer}");
    }
    server.elsewhere.take();
    for peer in ["d@x.example", "e@x.example", "juliet@wello.example"] {
        assert_eq!(write(&server, &romeo, peer).await.as_deref(), WAIT, "{peer}");
    }
    assert!(server.elsewhere.take().is_empty());
    assert_eq!(write(&server, &romeo, "a@x.example/z").await, None, "a stranger from before");
    let audit = server.audit().await;
    assert_eq!(audit.len(), 1, "{audit:?}");
    let told = (audit[0].actor.as_str(), audit[0].target.as_str(), audit[0].outcome.as_str());
    assert_eq!(told, ("server", "romeo@wello.example", "refused: Hour"));
    server.pass(Duration::from_secs(3600));
    assert_eq!(write(&server, &romeo, "d@x.example").await, None);
    assert_eq!(write(&server, &romeo, "e@z.example").await.as_deref(), WAIT, "a third server");
}

#[tokio::test]
async fn requests_to_see_presence_count_and_leave_no_trace_when_refused() {
    let server = Server::with(FEW).await;
    let romeo = server.session("romeo").await;
    for name in ["a", "b", "c"] {
        let ask = format!("<presence type='subscribe' to='{name}@x.example'/>");
        assert_eq!(condition(&server.say(&romeo, &ask).await), None);
    }
    let ask = "<presence type='subscribe' to='d@x.example'/>";
    assert_eq!(condition(&server.say(&romeo, ask).await).as_deref(), WAIT);
    let entry = server.kernel.store.roster.entry("romeo@wello.example", "d@x.example");
    assert_eq!(entry.await.unwrap().item, None);
}

#[tokio::test]
async fn a_roster_of_ones_own_making_makes_nobody_known() {
    let server = Server::with(FEW).await;
    let romeo = server.session("romeo").await;
    for name in ["a", "b", "c", "d"] {
        let set = format!(
            "<iq type='set' id='{name}'><query xmlns='jabber:iq:roster'>\
             <item jid='{name}@x.example'/></query></iq>"
        );
        assert_eq!(condition(&server.say(&romeo, &set).await), None);
    }
    for name in ["a", "b", "c"] {
        assert_eq!(write(&server, &romeo, &format!("{name}@x.example")).await, None);
    }
    assert_eq!(write(&server, &romeo, "d@x.example").await.as_deref(), WAIT);
}

#[tokio::test]
async fn who_has_written_first_is_no_stranger() {
    let server = Server::with(FEW).await;
    let romeo = server.session("romeo").await;
    for name in ["a", "b", "c", "d", "e"] {
        let from = format!(
            "<message from='{name}@x.example/z' to='romeo@wello.example' type='chat'>\
             <body>hello</body></message>"
        );
        assert_eq!(condition(&server.receive(&from).await), None);
    }
    inbox(&romeo);
    for name in ["a", "b", "c", "d", "e"] {
        assert_eq!(write(&server, &romeo, &format!("{name}@x.example")).await, None);
    }
}

#[tokio::test]
async fn older_accounts_and_administrators_may_do_more() {
    let server = Server::with(FEW).await;
    let (romeo, nurse) = (server.session("romeo").await, server.session("nurse").await);
    server.pass(Duration::from_secs(4 * 24 * 3600));
    for number in 0..10 {
        let peer = format!("{number}@x.example");
        let refused = write(&server, &romeo, &peer).await;
        assert_eq!(refused.is_some(), number >= 4, "{number}");
        assert_eq!(write(&server, &nurse, &peer).await, None);
    }
}

#[tokio::test]
async fn invitations_through_a_room_count_each() {
    let server = Server::with(FEW).await;
    let romeo = server.session("romeo").await;
    let room = "r@conference.wello.example";
    let join =
        format!("<presence to='{room}/n'><x xmlns='http://jabber.org/protocol/muc'/></presence>");
    assert_eq!(condition(&server.say(&romeo, &join).await), None);
    let invite = |names: &[&str]| {
        let invites = names.iter().map(|name| format!("<invite to='{name}@x.example'/>"));
        format!(
            "<message to='{room}'><x xmlns='http://jabber.org/protocol/muc#user'>{}</x></message>",
            invites.collect::<String>()
        )
    };
    assert_eq!(condition(&server.say(&romeo, &invite(&["a", "b"])).await), None);
    assert_eq!(server.elsewhere.take().len(), 2);
    let flood = server.say(&romeo, &invite(&["c", "d", "e"])).await;
    assert_eq!(condition(&flood).as_deref(), WAIT);
    assert!(server.elsewhere.take().is_empty());
}
