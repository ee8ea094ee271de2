use super::blocklists::blocking;
use super::feeds::{HASHES, LISTS, event, following, hash};
use super::*;

/// What somebody elsewhere is told next of an occupant's going: the nickname, what they are now, and the codes.
async fn farewell(server: &Server, to: &str) -> (String, String, Vec<String>) {
    let told = loop {
        let told = server.elsewhere.next().await;
        let to = format!("{to}/z").parse().unwrap();
        if told.type_.as_deref() == Some("unavailable") && told.to == Some(to) {
            break told;
        }
    };
    let x = told.child("x", ns::MUC_USER).unwrap();
    let item = x.child("item", ns::MUC_USER).unwrap();
    assert!(item.child("reason", ns::MUC_USER).is_some());
    let codes = x.children().filter(|child| child.name() == "status");
    (
        told.from.as_ref().unwrap().resource().unwrap().to_owned(),
        item.attr("affiliation").unwrap().to_owned(),
        codes.map(|status| status.attr("code").unwrap().to_owned()).collect(),
    )
}

fn gone(nick: &str, codes: &[&str]) -> (String, String, Vec<String>) {
    let codes = codes.iter().map(|code| (*code).to_owned()).collect();
    (nick.to_owned(), "outcast".to_owned(), codes)
}

async fn enter(server: &Server, who: &[(&str, &str)]) {
    for (from, nick) in who {
        assert_eq!(condition(&server.receive(&join(from, nick)).await), None, "{nick}");
    }
}

/// The nicknames of those whose going a device has been told of.
fn seen_going(session: &Session) -> Vec<String> {
    let told = inbox(session);
    let gone = told.iter().filter(|told| told.type_.as_deref() == Some("unavailable"));
    let nicks = gone.filter_map(|told| told.from.as_ref()?.resource().map(str::to_owned));
    nicks.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gets_onto_a_list_is_put_out_of_rooms() {
    let (server, _chores) = following(&[], &[]).await;
    let romeo = server.room().await;
    enter(&server, &[("witness@x.example", "w"), ("troll@x.example", "t"), ("a@y.example", "a")])
        .await;
    seen_going(&romeo);
    for (listed, nick) in [("troll@x.example", "t"), ("y.example", "a")] {
        let listed = event(LISTS, HASHES, &format!("<item id='{}'/>", hash(listed)));
        server.kernel.handle_remote(stanza(&listed)).await;
        assert_eq!(farewell(&server, "witness@x.example").await, gone(nick, &["301"]));
        assert_eq!(seen_going(&romeo), [nick]);
    }
    let refused = server.receive(&join("troll@x.example", "t")).await;
    assert_eq!(condition(&refused).as_deref(), Some("forbidden"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_put_out_is_told_why() {
    let (server, _chores) = following(&[], &[]).await;
    server.room().await;
    enter(&server, &[("troll@x.example", "t")]).await;
    let listed = format!("<item id='{}'/>", hash("troll@x.example"));
    server.kernel.handle_remote(stanza(&event(LISTS, HASHES, &listed))).await;
    assert_eq!(farewell(&server, "troll@x.example").await, gone("t", &["301", "110"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn exceptions_and_administrators_stay() {
    let (server, _chores) = following(&[], &[]).await;
    let romeo = server.room().await;
    let nurse = server.session("nurse").await;
    let nurse_comes = "<presence to='r@conference.wello.example/nurse'>\
        <x xmlns='http://jabber.org/protocol/muc'/></presence>";
    server.say(&nurse, nurse_comes).await;
    enter(
        &server,
        &[("witness@x.example", "w"), ("a@b.friend.example", "a"), ("t@x.example", "t")],
    )
    .await;
    seen_going(&romeo);
    // All on the list at once, so that whoever is put out was looked at together with the others.
    let listed = ["a@b.friend.example", "nurse@wello.example", "t@x.example"];
    let items: String = listed.map(|who| format!("<item id='{}'/>", hash(who))).concat();
    server.kernel.handle_remote(stanza(&event(LISTS, HASHES, &items))).await;
    assert_eq!(farewell(&server, "witness@x.example").await, gone("t", &["301"]));
    assert_eq!(seen_going(&romeo), ["t"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_the_operator_blocks_is_put_out_of_rooms_and_told_nothing() {
    let (server, folder) = blocking("").await;
    let _chores = Chores::start(&server);
    let romeo = server.room().await;
    enter(&server, &[("witness@x.example", "w"), ("a@evil.example", "a")]).await;
    seen_going(&romeo);
    std::fs::write(folder.path().join("blocked"), "evil.example").unwrap();
    server.kernel.blocklist.reload().unwrap();
    assert_eq!(farewell(&server, "witness@x.example").await, gone("a", &["301"]));
    assert_eq!(seen_going(&romeo), ["a"]);
    let to_evil = |told: &Stanza| told.to.as_ref().is_some_and(|to| to.domain() == "evil.example");
    assert!(!server.elsewhere.take().iter().any(to_evil));
}
