use wello_store::Query;

use super::*;

const CONFIG: &str = "[reports]\nforward_to = ['nurse@wello.example', 'reports@lists.example']";

/// Romeo blocks and reports somebody who has written to him; returns what goes to other servers.
async fn report(server: &Server, consent: &str) -> Vec<Stanza> {
    let romeo = server.session("romeo").await;
    let spam = "<message from='troll@evil.example/z' to='romeo@wello.example' type='chat' id='s'>\
        <body>buy</body></message>";
    server.receive(spam).await;
    let owner = "romeo@wello.example".to_owned();
    let query = Query { owner, max: 1, ..Query::default() };
    let id = server.kernel.store.archive.query(&query).await.unwrap().messages[0].id;
    let block = format!(
        "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='troll@evil.example'>\
         <report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'>\
         <stanza-id xmlns='urn:xmpp:sid:0' by='romeo@wello.example' id='{id}'/>\
         <text>Never again.</text>{consent}</report></item></block></iq>"
    );
    assert_eq!(condition(&server.say(&romeo, &block).await), None);
    server.elsewhere.take()
}

fn recipients(stanzas: &[Stanza]) -> Vec<String> {
    stanzas.iter().map(|stanza| stanza.to.as_ref().unwrap().to_string()).collect()
}

#[tokio::test]
async fn the_operator_gets_every_report_with_the_message() {
    let server = Server::with(CONFIG).await;
    let nurse = server.session("nurse").await;
    server.say(&nurse, "<presence/>").await;
    assert!(report(&server, "").await.is_empty(), "nobody has agreed to that");
    let told = inbox(&nurse);
    let told = told[0].to_element().to_string();
    for part in ["troll@evil.example", "reported by romeo@wello.example", "Never again.", "buy"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[tokio::test]
async fn others_get_it_as_the_reporter_agrees_and_do_not_learn_who_that_is() {
    for (consent, expected) in
        [("<third-party/>", "reports@lists.example"), ("<report-origin/>", "evil.example")]
    {
        let server = Server::with(CONFIG).await;
        let sent = report(&server, consent).await;
        assert_eq!(recipients(&sent), [expected], "{consent}");
        let sent = sent[0].to_element().to_string();
        assert!(sent.contains("buy") && sent.contains("Never again."), "{sent}");
        assert!(!sent.contains("romeo"), "{sent}");
    }
}

#[tokio::test]
async fn one_block_makes_no_flood_of_reports() {
    let server = Server::with(CONFIG).await;
    let romeo = server.session("romeo").await;
    let items = (0..200).map(|number| {
        format!(
            "<item jid='{number}@evil.example'><report xmlns='urn:xmpp:reporting:1' \
             reason='urn:xmpp:reporting:spam'><third-party/><report-origin/></report></item>"
        )
    });
    let block = format!(
        "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'>{}</block></iq>",
        items.collect::<String>()
    );
    assert_eq!(condition(&server.say(&romeo, &block).await), None);
    assert_eq!(server.elsewhere.take().len(), 60);
}
