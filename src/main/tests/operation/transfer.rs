//! Accounts from another server and to it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::bosh::Client;
use super::{folder, refusal, run, serve, text};

const HOST: &str = "xmpp.example";

/// Written by the `util.datamanager` of Prosody 0.12.3, as its modules call it.
fn prosody() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/prosody-0.12")
}

fn server() -> TempDir {
    let dir = folder("sqlite:wello.db");
    let config = dir.path().join("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(config, text.replace("[\"localhost\"]", &format!("[{HOST:?}]"))).unwrap();
    dir
}

/// What the command printed, which must have succeeded.
fn done(dir: &Path, args: &[&str]) -> String {
    let output = run(dir, args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn logs_in(dir: &Path, name: &str, password: &str) -> bool {
    Client::open(dir, HOST).scram(name, password)
}

/// The whole answer to an HTTP request.
pub fn fetch(address: &str, method: &str, path: &str, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = if head.is_empty() { String::new() } else { format!("{head}\r\n") };
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{head}Content-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// An export without what differs from one server to another.
fn exported(dir: &Path, name: &str) -> String {
    done(dir, &["export", name]);
    std::fs::read_to_string(dir.join(name)).unwrap()
}

#[test]
fn accounts_of_prosody_log_in_with_their_old_password() {
    let dir = server();
    let path = prosody();
    let printed = done(dir.path(), &["import", "prosody", path.to_str().unwrap()]);
    let counts = "imported: 4 accounts, 3 contacts, 2 subscription requests, 2 documents, \
                  0 items, 2 blocked addresses, 3 archived messages, 1 offline messages";
    assert!(printed.contains(counts), "{printed}");
    assert!(printed.contains("1 accounts have keys for SCRAM-SHA-1 alone"), "{printed}");
    let (server, _) = serve(dir.path());
    assert!(logs_in(dir.path(), "romeo", "wherefore art thou"));
    assert!(!logs_in(dir.path(), "romeo", "wherefore art thee"));
    assert!(logs_in(dir.path(), "nurse", "go, girl"));
    assert!(!logs_in(dir.path(), "tybalt", "peace? i hate the word"), "is switched off");
    drop(server);
    let again = done(dir.path(), &["import", "prosody", path.to_str().unwrap()]);
    let nothing = "imported: 0 accounts, 0 contacts, 0 subscription requests, 0 documents, \
                   0 items, 0 blocked addresses, 0 archived messages, 0 offline messages";
    assert!(again.contains(nothing), "{again}");
    let file = exported(dir.path(), "all.xml");
    for part in [
        "<stored-key>",
        "<item jid='juliet.c@xmpp.example' name='Juliet &quot;C&quot;' subscription='both'>\
         <group>Friends &amp; more</group></item>",
        "<item jid='benvolio@other.example' subscription='none' ask='subscribe'/>",
        "from='paris@other.example' to='romeo@xmpp.example' type='subscribe'",
        "Nürse</nick>",
        "<vCard xmlns='vcard-temp'><FN>Romeo Montague</FN></vCard>",
        "<nick>masked</nick>",
        "<item type='jid' value='spam.example' action='deny' order='1'/>",
        "<delay xmlns='urn:xmpp:delay' stamp='2020-09-13T12:28:20.250000Z'/>",
        "wherefore &lt;art&gt; thou &amp; why — “Romeo”?",
        "<body>Anon, anon!</body>",
    ] {
        assert!(file.contains(part), "{part} in {file}");
    }
}

#[test]
fn what_is_exported_can_be_imported() {
    let first = server();
    let path = prosody();
    done(first.path(), &["import", "prosody", path.to_str().unwrap()]);
    done(first.path(), &["user", "add", "boss@xmpp.example", "--password", "long 1", "--admin"]);
    let file = exported(first.path(), "all.xml");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(first.path().join("all.xml")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    assert!(refusal(first.path(), &["export", "all.xml"]).contains("exists already"));
    let second = server();
    // Also while the server runs.
    let (_running, _) = serve(second.path());
    let from = first.path().join("all.xml");
    let from = from.to_str().unwrap();
    let printed = done(second.path(), &["import", "xep0227", from]);
    assert!(printed.contains("imported: 5 accounts, 3 contacts"), "{printed}");
    assert!(!printed.contains("not imported"), "{printed}");
    assert_eq!(exported(second.path(), "all.xml"), file);
    assert!(logs_in(second.path(), "romeo", "wherefore art thou"));
    assert!(logs_in(second.path(), "boss", "long 1"));
    let list = done(second.path(), &["user", "list"]);
    assert!(list.contains("boss@xmpp.example\tadmin"), "{list}");
    // An account that is here keeps its password, and nothing comes twice.
    done(second.path(), &["user", "passwd", "romeo@xmpp.example", "--password", "another 2"]);
    let again = done(second.path(), &["import", "xep0227", from]);
    assert!(again.contains("imported: 0 accounts, 0 contacts"), "{again}");
    assert!(again.contains("5 accounts were here before"), "{again}");
    assert!(logs_in(second.path(), "romeo", "another 2"));
}

#[test]
fn nodes_go_from_one_server_to_another() {
    const NODES: &str = "<configure node='urn:n'><x xmlns='jabber:x:data' type='submit'>\
        <field var='FORM_TYPE' type='hidden'>\
        <value>http://jabber.org/protocol/pubsub#node_config</value></field>\
        <field var='pubsub#access_model'><value>whitelist</value></field>\
        <field var='pubsub#max_items'><value>max</value></field></x></configure>\
        <affiliations node='urn:n'><affiliation jid='b@localhost' affiliation='member'/></affiliations>\
        <subscriptions node='urn:n'><subscription jid='b@localhost/c' subscription='subscribed'/></subscriptions>";
    const ITEMS: &str = "<items node='urn:n'><item id='2'><a xmlns='urn:n'>two</a></item>\
        <item id='1'><a xmlns='urn:n'>one</a></item></items>";
    const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
    let dir = folder("sqlite:wello.db");
    let file = format!(
        "<server-data xmlns='urn:xmpp:pie:0'><host jid='localhost'><user name='a' password='long 1'>\
         <pubsub xmlns='{PUBSUB}#owner'>{NODES}</pubsub><pubsub xmlns='{PUBSUB}'>{ITEMS}</pubsub>\
         <vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><fn><text>A</text></fn></vcard>\
         </user></host></server-data>"
    );
    std::fs::write(dir.path().join("f.xml"), file).unwrap();
    let printed = done(dir.path(), &["import", "xep0227", "f.xml"]);
    assert!(printed.contains(" 3 items,") && !printed.contains("not imported"), "{printed}");
    let file = exported(dir.path(), "all.xml");
    for part in [NODES, ITEMS, "<items node='urn:xmpp:vcard4'><item id='current'><vcard"] {
        assert!(file.contains(part), "{part} in {file}");
    }
    let again = done(dir.path(), &["import", "xep0227", "all.xml"]);
    assert!(again.contains(" 0 items,"), "{again}");
}

#[test]
fn what_is_not_for_this_server_is_refused_before_anything_is_done() {
    let dir = folder("sqlite:wello.db");
    let path = prosody();
    let line = refusal(dir.path(), &["import", "prosody", path.to_str().unwrap()]);
    assert!(line.contains("xmpp.example is not served here: add it to `hosts`"), "{line}");
    assert!(refusal(dir.path(), &["import", "prosody", "/"]).contains("data_path"));
    let file = "<server-data xmlns='urn:xmpp:pie:0'><host jid='localhost'><user name='a' \
                password='long 1'/></host><host jid='elsewhere.example'/></server-data>";
    std::fs::write(dir.path().join("f.xml"), file).unwrap();
    assert!(refusal(dir.path(), &["import", "xep0227", "f.xml"]).contains("elsewhere.example"));
    std::fs::write(dir.path().join("f.xml"), file.replace("</server-data>", "")).unwrap();
    refusal(dir.path(), &["import", "xep0227", "f.xml"]);
    assert_eq!(done(dir.path(), &["user", "list"]), "");
    assert!(
        refusal(dir.path(), &["export", "e.xml", "--domain", "x.example"]).contains("x.example")
    );
}
