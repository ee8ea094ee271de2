//! Changes of accounts while the server runs.

use super::bosh::Client;
use super::moving::tell;
use super::{folder, refusal, run, serve, text};

#[test]
fn a_new_password_and_a_deletion_end_sessions_at_once() {
    let dir = folder("sqlite:wello.db");
    let done = |args: &[&str]| {
        let output = run(dir.path(), args);
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    };
    done(&["user", "add", "a@localhost", "--password", "long enough 1"]);
    let (server, _) = serve(dir.path());
    let login = |password: &str| {
        let mut client = Client::open(dir.path(), "localhost");
        let right = client.scram("a", password);
        (client, right)
    };
    let (mut first, right) = login("long enough 1");
    assert!(right);
    first.bind();
    done(&["user", "passwd", "a@localhost", "--password", "long enough 2"]);
    let last = first.say("");
    assert!(last.contains("terminate"), "{last}");
    assert!(!login("long enough 1").1);
    let (mut second, right) = login("long enough 2");
    assert!(right);
    second.bind();
    done(&["user", "del", "a@localhost"]);
    let last = second.say("");
    assert!(last.contains("terminate"), "{last}");
    assert!(!login("long enough 2").1);
    assert!(refusal(dir.path(), &["user", "del", "a@localhost"]).contains("there is no account"));
    drop(server);
    // The same without a server.
    assert!(refusal(dir.path(), &["user", "del", "a@localhost"]).contains("there is no account"));
    done(&["user", "add", "b@localhost", "--password", "long enough 1"]);
    done(&["user", "passwd", "b@localhost", "--password", "long enough 2"]);
    done(&["user", "del", "b@localhost"]);
    assert_eq!(text(&run(dir.path(), &["user", "list"]).stdout), "");
}

#[test]
fn an_account_says_where_its_owner_is() {
    let dir = folder("sqlite:wello.db");
    let done = |args: &[&str]| {
        let output = run(dir.path(), args);
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    };
    done(&["user", "add", "a@localhost", "--password", "long enough 1"]);
    let (_server, _) = serve(dir.path());
    let mut client = Client::open(dir.path(), "localhost");
    assert!(client.scram("a", "long enough 1"));
    client.bind();
    let question = "<iq type='get' id='q'><pubsub xmlns='http://jabber.org/protocol/pubsub'>\
                    <items node='urn:xmpp:moved:1'><item id='current'/></items></pubsub></iq>";
    tell(&mut client, question, &["id='q'", "item-not-found"]);
    for address in ["a@first.example", "a@second.example"] {
        done(&["user", "moved", "a@localhost", address]);
        let statement = format!("<new-jid>{address}</new-jid>");
        tell(&mut client, question, &["id='current'", &statement]);
    }
    done(&["user", "moved", "a@localhost"]);
    tell(&mut client, question, &["id='q'", "item-not-found"]);
    let nobody = refusal(dir.path(), &["user", "moved", "b@localhost", "a@first.example"]);
    assert!(nobody.contains("there is no account"), "{nobody}");
}
