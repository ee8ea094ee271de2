use super::*;

#[tokio::test]
async fn a_flood_of_presence_is_told_to_wait() {
    let server = Server::with("[limits]\npresence_per_minute = 3").await;
    let romeo = server.session("romeo").await;
    for _ in 0..3 {
        assert_eq!(condition(&server.say(&romeo, "<presence/>").await), None);
    }
    let refused = server.say(&romeo, "<presence/>").await;
    assert_eq!(condition(&refused).as_deref(), Some("resource-constraint"));
    let second = server.session("romeo").await;
    assert_eq!(condition(&server.say(&second, "<presence/>").await), None, "another session");
    server.pass(Duration::from_secs(60));
    assert_eq!(condition(&server.say(&romeo, "<presence/>").await), None);
}

#[tokio::test]
async fn so_are_floods_of_requests_and_of_rooms() {
    let server = Server::with("[limits]\nrequests_per_minute = 1\njoins_per_minute = 1").await;
    let romeo = server.session("romeo").await;
    let ping = "<iq type='get' id='1' to='pubsub.wello.example'><ping xmlns='urn:xmpp:ping'/></iq>";
    let join = "<presence to='r@conference.wello.example/n'>\
        <x xmlns='http://jabber.org/protocol/muc'/></presence>";
    for flood in [ping, join] {
        assert_eq!(condition(&server.say(&romeo, flood).await), None, "{flood}");
        let refused = server.say(&romeo, flood).await;
        assert_eq!(condition(&refused).as_deref(), Some("resource-constraint"), "{flood}");
    }
    let own = "<iq type='get' id='2' to='wello.example'><ping xmlns='urn:xmpp:ping'/></iq>";
    for _ in 0..3 {
        assert_eq!(condition(&server.say(&romeo, own).await), None);
    }
}
