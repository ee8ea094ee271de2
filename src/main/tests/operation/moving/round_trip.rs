//! From a Wello to another, and back.

use std::path::Path;

use super::super::bosh::Client;
use super::super::transfer::fetch;
use super::super::{folder, run, serve, text};
use super::database;
use super::peer::{http_address, imported, tell};

/// An account and a room with all that XEP-0227 has no words for.
const FILE: &str = "<server-data xmlns='urn:xmpp:pie:0'><host jid='localhost'>\
    <user name='a' password='long enough 1'>\
    <account xmlns='urn:wello:pie:0' created='2020-01-02T03:04:05Z' last-online='2024-01-01T00:00:00Z' last-status='gone'/>\
    <prefs xmlns='urn:xmpp:mam:2' default='never'><always><jid>b@localhost</jid></always><never/></prefs>\
    <upload xmlns='urn:wello:pie:0' token='t0ken' name='a b.txt' type='text/plain' purpose='permanent' \
     created='2026-01-01T00:00:00Z' \
     sha256='d329f530183396ceae08434139758fda580eadf1af51e075223f7b16435dfbb0' href='files/one'/>\
    <upload xmlns='urn:wello:pie:0' token='gone' name='x' purpose='permanent' created='2026-01-01T00:00:00Z' href='files/none'/>\
    <archive xmlns='urn:xmpp:pie:0#mam'><result xmlns='urn:xmpp:mam:2' id='x'><forwarded xmlns='urn:xmpp:forward:0'>\
    <delay xmlns='urn:xmpp:delay' stamp='2023-01-01T00:00:00Z'/><message xmlns='jabber:client' from='b@localhost/c' \
    to='a@localhost' type='chat'><body>long ago</body></message></forwarded></result></archive></user>\
    <room xmlns='urn:wello:pie:0' jid='tea@chat.localhost' created='2021-01-01T00:00:00Z' version='7'>\
    <x xmlns='jabber:x:data' type='submit'><field var='muc#roomconfig_roomname'><value>Tea</value></field>\
    <field var='muc#roomconfig_passwordprotectedroom'><value>1</value></field>\
    <field var='muc#roomconfig_roomsecret'><value>milk</value></field></x>\
    <subject stamp='2023-02-01T00:00:00Z'><message xmlns='jabber:client' from='tea@conference.localhost/A' type='groupchat'>\
    <subject>Two lumps</subject></message></subject>\
    <affiliation jid='a@localhost' affiliation='owner' nick='A'/><affiliation jid='b@localhost' affiliation='outcast'/>\
    <vCard xmlns='vcard-temp'><FN>Tea</FN></vCard>\
    <archive xmlns='urn:xmpp:pie:0#mam'><result xmlns='urn:xmpp:mam:2' id='y'><forwarded xmlns='urn:xmpp:forward:0'>\
    <delay xmlns='urn:xmpp:delay' stamp='2023-01-01T00:00:00Z'/><message xmlns='jabber:client' \
    from='tea@chat.localhost/A' type='groupchat'><body>More tea?</body></message></forwarded></result></archive></room>\
    <nodes xmlns='urn:wello:pie:0' jid='nodes.localhost'><pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>\
    <configure node='news'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
    <value>http://jabber.org/protocol/pubsub#node_config</value></field>\
    <field var='pubsub#title'><value>What is new</value></field>\
    <field var='pubsub#access_model'><value>whitelist</value></field>\
    <field var='pubsub#creator'><value>b@localhost</value></field>\
    <field var='pubsub#creation_date'><value>2022-01-01T00:00:00Z</value></field></x></configure>\
    <affiliations node='news'><affiliation jid='a@localhost' affiliation='owner'/></affiliations>\
    <subscriptions node='news'><subscription jid='a@localhost' subscription='subscribed'/></subscriptions></pubsub>\
    <pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='news'><item id='first' publisher='b@localhost'>\
    <thing xmlns='urn:example:thing'/></item></items></pubsub></nodes>\
    </host></server-data>";

const COUNTS: &str = "imported: 1 accounts, 0 contacts, 0 subscription requests, 0 documents, 1 items, \
    0 blocked addresses, 2 archived messages, 0 offline messages, 1 rooms, 1 files, 1 archiving preferences, \
    0 invitations";

fn exported(dir: &Path) -> String {
    imported(dir, &["export", "all.xml"]);
    let text = std::fs::read_to_string(dir.join("all.xml")).unwrap();
    std::fs::remove_file(dir.join("all.xml")).unwrap();
    text
}

/// What lies beside an export, which goes with it.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let folder = dir.join("all.xml.uploads");
    let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn goes_round(second: &Path) {
    let first = folder("sqlite:wello.db");
    let from = first.path();
    std::fs::write(from.join("in.xml"), FILE).unwrap();
    std::fs::create_dir(from.join("files")).unwrap();
    std::fs::write(from.join("files/one"), "by any name").unwrap();
    let dry = imported(from, &["import", "xep0227", "in.xml", "--dry-run"]);
    assert!(dry.contains(&format!("would be {COUNTS}")), "{dry}");
    assert_eq!(text(&run(from, &["user", "list"]).stdout), "");
    let printed = imported(from, &["import", "xep0227", "in.xml"]);
    assert!(printed.contains(COUNTS), "{printed}");
    assert!(printed.contains("1 uploaded files that are not there: not imported"), "{printed}");
    let again = imported(from, &["import", "xep0227", "in.xml"]);
    assert!(again.contains("0 archived messages, 0 offline messages, 0 rooms, 0 files"), "{again}");
    assert!(again.contains("1 rooms were here before"), "{again}");

    imported(from, &["export", "all.xml"]);
    let whole = std::fs::read_to_string(from.join("all.xml")).unwrap();
    let file = from.join("all.xml");
    let printed = imported(second, &["import", "xep0227", file.to_str().unwrap()]);
    assert!(printed.contains(COUNTS) && !printed.contains("not imported"), "{printed}");
    for kept in ["b@localhost</value>", "2022-01-01T00:00:00Z", "publisher='b@localhost'"] {
        assert!(whole.contains(kept), "{kept} in {whole}");
    }
    assert_eq!(exported(second), whole);
    assert_eq!(files(second), files(from));
    assert_eq!(files(second), [("t0ken".to_owned(), b"by any name".to_vec())]);
    serves_it(second);
}

fn serves_it(dir: &Path) {
    let (server, _) = serve(dir);
    let mut client = Client::open(dir, "localhost");
    assert!(client.scram("a", "long enough 1"));
    client.bind();
    tell(&mut client, "<presence/>", &["<presence"]);
    let enter = "<presence to='tea@conference.localhost/A'><x xmlns='http://jabber.org/protocol/muc'>\
                 <password>milk</password></x></presence>";
    tell(&mut client, enter, &["affiliation='owner'", "More tea?", "Two lumps"]);
    let prefs = "<iq type='get' id='p'><prefs xmlns='urn:xmpp:mam:2'/></iq>";
    tell(&mut client, prefs, &["default='never'"]);
    let node = "<iq type='get' id='n' to='pubsub.localhost'>\
        <pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='news'/></pubsub></iq>";
    tell(&mut client, node, &["What is new", "<value>whitelist</value>"]);
    let file = fetch(&http_address(dir), "GET", "/upload/t0ken/a%20b.txt", "", "");
    assert!(file.contains("text/plain") && file.ends_with("by any name"), "{file}");
    drop(server);
}

#[test]
fn everything_goes_to_another_server_and_back() {
    goes_round(folder("sqlite:wello.db").path());
}

#[test]
fn everything_goes_to_a_server_with_postgresql_and_back() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if let Some(address) = runtime.block_on(database::postgres()) {
        goes_round(folder(&address).path());
    }
}

#[test]
fn what_is_broken_takes_nothing_with_it() {
    let dir = folder("sqlite:wello.db");
    let data = dir.path().join("prosody/localhost");
    for (file, content) in [
        ("accounts/a.dat", "return { password = 'long enough 1' };"),
        ("roster/a.dat", "return { ['b@localhost'] = { subscription = "),
        ("accounts/b.dat", "return { password = 'long enough 2' };"),
    ] {
        let path = data.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let output = run(dir.path(), &["import", "prosody", "prosody"]);
    assert_eq!(output.status.code(), Some(1));
    let (printed, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(printed.contains("imported: 2 accounts"), "{printed}");
    assert!(errors.contains("roster/a.dat: line 1"), "{errors}");
    assert!(errors.contains("1 pieces could not be read"), "{errors}");
    assert!(!errors.contains("long enough"), "{errors}");
}
