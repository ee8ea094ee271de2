use super::*;

/// A server whose operator has blocked these.
pub(super) async fn blocking(rules: &str) -> (Server, TempDir) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("blocked");
    std::fs::write(&file, rules).unwrap();
    (Server::with(&format!("[blocklists]\nfiles = [{file:?}]")).await, folder)
}

#[tokio::test]
async fn nothing_is_exchanged_with_who_is_blocked() {
    let (server, folder) = blocking("*.evil.example\ntroll@x.example\n").await;
    let romeo = server.session("romeo").await;
    server.say(&romeo, "<presence/>").await;
    for peer in ["a@sub.evil.example", "troll@x.example", "room@muc.evil.example/nick"] {
        let message = format!("<message to='{peer}' type='chat'><body>hi</body></message>");
        let refused = server.say(&romeo, &message).await;
        assert_eq!(condition(&refused).as_deref(), Some("not-allowed"), "{peer}");
        let ask = format!("<presence type='subscribe' to='{peer}'/>");
        server.say(&romeo, &ask).await;
        assert!(server.elsewhere.take().is_empty(), "{peer}");
        for from_there in [
            format!("<message from='{peer}' to='romeo@wello.example'><body>hi</body></message>"),
            format!(
                "<iq type='get' id='1' from='{peer}' to='wello.example'><ping xmlns='urn:xmpp:ping'/></iq>"
            ),
        ] {
            assert!(server.receive(&from_there).await.is_empty(), "{from_there}");
        }
        server.receive(&format!("<presence from='{peer}' to='romeo@wello.example'/>")).await;
        assert!(inbox(&romeo).is_empty(), "{peer}");
    }
    let free =
        "<message from='other@x.example/z' to='romeo@wello.example'><body>hi</body></message>";
    server.receive(free).await;
    assert_eq!(inbox(&romeo).len(), 1);
    std::fs::write(folder.path().join("blocked"), "x.example").unwrap();
    server.kernel.blocklist.reload().unwrap();
    server.receive(free).await;
    assert!(inbox(&romeo).is_empty());
}

#[tokio::test]
async fn ones_own_accounts_are_not_shut_out_by_it() {
    let (server, _folder) = blocking("wello.example\nconference.wello.example").await;
    let romeo = server.session("romeo").await;
    let message = "<message to='juliet@wello.example' type='chat'><body>hi</body></message>";
    assert_eq!(condition(&server.say(&romeo, message).await), None);
}
