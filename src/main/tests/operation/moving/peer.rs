//! A life at another server, and what must be left of it at ours.

use std::path::Path;
use std::process::Child;

use super::super::bosh::Client;
use super::super::{folder, run, serve, text};

pub const HOST: &str = "xmpp.example";
pub const PASSWORD: &str = "wherefore art thou";
/// Seconds that an answer may be held back: most of what is said has none.
const WAIT: u32 = 1;
pub const ACCOUNTS: [&str; 3] = ["romeo", "juliet", "nurse"];

/// A process that is another server. It ends with this.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Asks it to end, and waits until it has written all it has.
    pub fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.0.wait().unwrap();
    }
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Logs in and comes online.
pub fn online(address: &str, name: &str) -> Client {
    let mut client = login(address, name);
    // Who has not asked for it is not told what happens to it.
    let roster = "<iq type='get' id='o'><query xmlns='jabber:iq:roster'/></iq>";
    tell(&mut client, roster, &["id='o'"]);
    tell(&mut client, "<presence/>", &["<presence"]);
    client
}

fn login(address: &str, name: &str) -> Client {
    let mut client = Client::connect(address, HOST, WAIT);
    assert!(client.scram(name, PASSWORD), "{name} at {address}");
    client.bind();
    client
}

/// Says a stanza and waits for what it leads to.
pub fn tell(client: &mut Client, stanza: &str, parts: &[&str]) -> String {
    let name = stanza.find([' ', '/', '>']).unwrap();
    let (tag, rest) = stanza.split_at(name);
    client.until(&format!("{tag} xmlns='jabber:client'{rest}"), parts)
}

/// What everybody does at the other server, whose rooms are at `rooms` and whose nodes at `pubsub.xmpp.example`.
pub fn live(address: &str, rooms: &str) {
    let mut juliet = online(address, "juliet");
    let mut romeo = online(address, "romeo");
    befriend(&mut romeo, &mut juliet);
    publish(&mut romeo);
    let chat = "<message to='juliet@xmpp.example' type='chat' id='m1'>\
                <body>It is the east &amp; Juliet is the sün</body></message>";
    tell(&mut romeo, chat, &[]);
    juliet.until("", &["is the sün"]);
    // She is never here.
    let left = "<message to='nurse@xmpp.example' type='chat'><body>Anon, anon!</body></message>";
    tell(&mut romeo, left, &[]);
    meet(&mut romeo, rooms);
    share(&mut romeo, &mut juliet);
}

fn befriend(romeo: &mut Client, juliet: &mut Client) {
    let item = "<iq type='set' id='r1'><query xmlns='jabber:iq:roster'>\
                <item jid='juliet@xmpp.example' name='Juliet C'><group>Friends</group></item>\
                </query></iq>";
    tell(romeo, item, &["id='r1'"]);
    tell(romeo, "<presence type='subscribe' to='juliet@xmpp.example'/>", &[]);
    juliet.until("", &["type='subscribe'"]);
    tell(juliet, "<presence type='subscribed' to='romeo@xmpp.example'/>", &[]);
    tell(juliet, "<presence type='subscribe' to='romeo@xmpp.example'/>", &[]);
    romeo.until("", &["type='subscribe'"]);
    tell(romeo, "<presence type='subscribed' to='juliet@xmpp.example'/>", &[]);
    juliet.until("", &["type='subscribed'"]);
}

fn publish(romeo: &mut Client) {
    let card =
        "<iq type='set' id='v1'><vCard xmlns='vcard-temp'><FN>Romeo Montague</FN></vCard></iq>";
    tell(romeo, card, &["id='v1'"]);
    let private = "<iq type='set' id='p1'><query xmlns='jabber:iq:private'>\
                   <notes xmlns='urn:example:notes'>a rose</notes></query></iq>";
    tell(romeo, private, &["id='p1'"]);
    let block = "<iq type='set' id='b1'><block xmlns='urn:xmpp:blocking'>\
                 <item jid='tybalt@other.example'/></block></iq>";
    tell(romeo, block, &["id='b1'"]);
    let prefs = "<iq type='set' id='a1'><prefs xmlns='urn:xmpp:mam:2' default='roster'>\
                 <always><jid>nurse@xmpp.example</jid></always><never/></prefs></iq>";
    tell(romeo, prefs, &["id='a1'"]);
    let node = "<iq type='set' id='n1'><pubsub xmlns='http://jabber.org/protocol/pubsub'>\
        <publish node='urn:example:node'><item id='one'><thing xmlns='urn:example:thing'>ü</thing></item></publish>\
        <publish-options><x xmlns='jabber:x:data' type='submit'>\
        <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
        <field var='pubsub#access_model'><value>whitelist</value></field>\
        </x></publish-options></pubsub></iq>";
    tell(romeo, node, &["id='n1'"]);
}

/// Makes a room that stays.
fn meet(romeo: &mut Client, rooms: &str) {
    let room = format!("tea@{rooms}");
    let enter = format!(
        "<presence to='{room}/Romeo'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
    );
    tell(romeo, &enter, &["code='110'"]);
    let fields = [
        ("persistentroom", "1"),
        ("roomname", "Tea"),
        ("publicroom", "0"),
        ("passwordprotectedroom", "1"),
        ("roomsecret", "milk first"),
    ];
    let fields: String = fields
        .iter()
        .map(|(name, value)| {
            format!("<field var='muc#roomconfig_{name}'><value>{value}</value></field>")
        })
        .collect();
    let configure = format!(
        "<iq type='set' id='c1' to='{room}'><query xmlns='http://jabber.org/protocol/muc#owner'>\
         <x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
         <value>http://jabber.org/protocol/muc#roomconfig</value></field>{fields}</x></query></iq>"
    );
    tell(romeo, &configure, &["id='c1'", "type='result'"]);
    let affiliate = format!(
        "<iq type='set' id='c2' to='{room}'><query xmlns='http://jabber.org/protocol/muc#admin'>\
         <item affiliation='admin' jid='juliet@xmpp.example'/></query></iq>"
    );
    tell(romeo, &affiliate, &["id='c2'"]);
    let subject =
        format!("<message type='groupchat' to='{room}'><subject>Two lumps</subject></message>");
    tell(romeo, &subject, &["Two lumps"]);
    let speak = format!("<message type='groupchat' to='{room}'><body>More tea?</body></message>");
    tell(romeo, &speak, &["More tea?"]);
}

/// Makes a node of a service, for which somebody else publishes.
fn share(romeo: &mut Client, juliet: &mut Client) {
    let create = "<iq type='set' id='s1' to='pubsub.xmpp.example'>\
        <pubsub xmlns='http://jabber.org/protocol/pubsub'><create node='news'/><configure>\
        <x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>\
        <value>http://jabber.org/protocol/pubsub#node_config</value></field>\
        <field var='pubsub#title'><value>What is new</value></field>\
        <field var='pubsub#access_model'><value>whitelist</value></field></x></configure></pubsub></iq>";
    tell(romeo, create, &["id='s1'", "type='result'"]);
    let affiliate = "<iq type='set' id='s2' to='pubsub.xmpp.example'>\
        <pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><affiliations node='news'>\
        <affiliation jid='juliet@xmpp.example' affiliation='publisher'/></affiliations></pubsub></iq>";
    tell(romeo, affiliate, &["id='s2'", "type='result'"]);
    let subscribe = "<iq type='set' id='s3' to='pubsub.xmpp.example'>\
        <pubsub xmlns='http://jabber.org/protocol/pubsub'>\
        <subscribe node='news' jid='juliet@xmpp.example'/></pubsub></iq>";
    tell(juliet, subscribe, &["id='s3'", "type='result'"]);
    let publish = "<iq type='set' id='s4' to='pubsub.xmpp.example'>\
        <pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='news'><item id='first'>\
        <thing xmlns='urn:example:thing'>a balcony</thing></item></publish></pubsub></iq>";
    tell(juliet, publish, &["id='s4'", "type='result'"]);
}

/// A folder of ours that serves the host.
pub fn ours() -> tempfile::TempDir {
    let dir = folder("sqlite:wello.db");
    let config = dir.path().join("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(config, text.replace("[\"localhost\"]", &format!("[{HOST:?}]"))).unwrap();
    dir
}

/// Where a server of ours takes HTTP.
pub fn http_address(dir: &Path) -> String {
    let config = std::fs::read_to_string(dir.join("config.toml")).unwrap();
    let line = config.lines().find(|line| line.starts_with("http = ")).unwrap();
    line.split('"').nth(1).unwrap().to_owned()
}

/// What an import prints, which must have succeeded.
pub fn imported(dir: &Path, args: &[&str]) -> String {
    let output = run(dir, args);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{args:?}: {stdout}{stderr}");
    stdout + &stderr
}

/// Logs in here as everybody, and finds all again. `card` asks for what is left of a vCard.
pub fn find_again(dir: &Path, card: &str) {
    let (server, _) = serve(dir);
    let mut romeo = Client::open(dir, HOST);
    assert!(romeo.scram("romeo", PASSWORD));
    romeo.bind();
    let get = |client: &mut Client, payload: &str, parts: &[&str]| {
        tell(client, &format!("<iq type='get' id='g'>{payload}</iq>"), parts);
    };
    let contact = ["jid='juliet@xmpp.example'", "subscription='both'", "Juliet C", "Friends"];
    get(&mut romeo, "<query xmlns='jabber:iq:roster'/>", &contact);
    get(&mut romeo, card, &["Romeo Montague"]);
    let private = "<query xmlns='jabber:iq:private'><notes xmlns='urn:example:notes'/></query>";
    get(&mut romeo, private, &["a rose"]);
    get(&mut romeo, "<blocklist xmlns='urn:xmpp:blocking'/>", &["tybalt@other.example"]);
    get(&mut romeo, "<prefs xmlns='urn:xmpp:mam:2'/>", &["default='roster'", "nurse@xmpp.example"]);
    let items = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:example:node'/></pubsub>";
    get(&mut romeo, items, &["id='one'", "<thing xmlns='urn:example:thing'>ü</thing>"]);
    let archive = "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>";
    tell(&mut romeo, archive, &["is the sün", "complete='true'"]);
    tell(&mut romeo, "<presence/>", &["<presence"]);
    let enter = "<presence to='tea@conference.xmpp.example/R'><x xmlns='http://jabber.org/protocol/muc'>\
                 <password>milk first</password></x></presence>";
    let room = ["affiliation='owner'", "code='110'", "More tea?", "Two lumps"];
    tell(&mut romeo, enter, &room);
    let admins = "<iq type='get' id='l' to='tea@conference.xmpp.example'>\
                  <query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='admin'/></query></iq>";
    tell(&mut romeo, admins, &["juliet@xmpp.example"]);
    let mut nurse = Client::open(dir, HOST);
    assert!(nurse.scram("nurse", PASSWORD));
    nurse.bind();
    tell(&mut nurse, "<presence/>", &["Anon, anon!"]);
    find_node(&mut romeo, &mut nurse);
    let mut juliet = Client::open(dir, HOST);
    assert!(juliet.scram("juliet", PASSWORD));
    juliet.bind();
    let enter = enter.replace("milk first", "sugar first");
    tell(&mut juliet, &enter, &["not-authorized"]);
    drop(server);
}

/// The node of the service is his, open to those on its list alone, and has what was published.
fn find_node(romeo: &mut Client, nurse: &mut Client) {
    let owned = |what: &str| {
        format!(
            "<iq type='get' id='g' to='pubsub.xmpp.example'>\
             <pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><{what} node='news'/></pubsub></iq>"
        )
    };
    tell(romeo, &owned("configure"), &["What is new", "<value>whitelist</value>"]);
    let affiliations = tell(romeo, &owned("affiliations"), &["romeo@xmpp.example", "'publisher'"]);
    assert!(affiliations.contains("'owner'"), "{affiliations}");
    tell(romeo, &owned("subscriptions"), &["juliet@xmpp.example", "subscription='subscribed'"]);
    let items = "<iq type='get' id='i' to='pubsub.xmpp.example'>\
        <pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='news'/></pubsub></iq>";
    tell(romeo, items, &["id='first'", "a balcony"]);
    tell(nurse, items, &["id='i'", "type='error'"]);
}
