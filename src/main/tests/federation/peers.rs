//! Servers of others: Prosody and ejabberd, as Debian has them. `scripts/test` runs these tests.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::spawn_blocking;

use crate::certificates::{Authority, Flaw};
use crate::client::{Client, attribute, text};
use crate::dns::{Dns, Record};
use crate::server::{PASSWORD, Plan, Server};
use crate::wait::wait_for_port;

const DOMAIN: &str = "b.example";
const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu:/usr/lib/aarch64-linux-gnu";

/// A server of others for b.example, with Juliet's account.
struct Peer {
    folder: TempDir,
    address: SocketAddr,
    /// Ends with this.
    _process: Child,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Software {
    Prosody,
    Ejabberd,
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Peer {
    /// `trusts`: takes certificates of this authority; its own one is of it as well. Otherwise its own one
    /// is of nobody whom anybody knows.
    async fn start(software: Software, dns: &Dns, trusts: Option<&Authority>) -> Peer {
        let folder = tempfile::tempdir().unwrap();
        let stranger = Authority::new();
        let (chain, key) = trusts.unwrap_or(&stranger).issue(DOMAIN, Flaw::None);
        let path = |name: &str| folder.path().join(name);
        // As Prosody looks for them.
        std::fs::write(path("b.example.crt"), &chain).unwrap();
        std::fs::write(path("b.example.key"), &key).unwrap();
        std::fs::write(path("both.pem"), format!("{chain}{key}")).unwrap();
        trusts.unwrap_or(&stranger).write(folder.path());
        let (c2s, s2s) = (free_port(), free_port());
        let mut command = match software {
            Software::Prosody => prosody(folder.path(), dns, c2s, s2s),
            Software::Ejabberd => ejabberd(folder.path(), dns, c2s, s2s),
        };
        let log = std::fs::File::create(path("stdout")).unwrap();
        let errors = std::fs::File::create(path("stderr")).unwrap();
        command.current_dir(folder.path()).kill_on_drop(true);
        let process = match software {
            Software::Prosody => command.stdout(log).stderr(errors).spawn().unwrap(),
            Software::Ejabberd => {
                let mut process = command.stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
                let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    if line.contains("account ready") {
                        break;
                    }
                }
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                process
            }
        };
        for domain in [DOMAIN.to_owned(), format!("conference.{DOMAIN}")] {
            dns.serve(&domain, "xmpp-server", s2s);
        }
        let address = SocketAddr::from(([127, 0, 0, 1], c2s));
        let peer = Peer { folder, address, _process: process };
        for port in [c2s, s2s] {
            // The name server that it may ask runs on this thread.
            let waited =
                spawn_blocking(move || wait_for_port(port, move || format!("{software:?}")));
            waited.await.unwrap();
        }
        peer
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for file in ["log", "stdout", "stderr"] {
                let text = std::fs::read_to_string(self.folder.path().join(file));
                eprintln!("--- {file} of the other server\n{}", text.unwrap_or_default());
            }
        }
    }
}

fn prosody(folder: &Path, dns: &Dns, c2s: u16, s2s: u16) -> Command {
    let accounts = folder.join("data/b%2eexample/accounts");
    std::fs::create_dir_all(&accounts).unwrap();
    let account = format!("return {{ password = \"{PASSWORD}\" }};\n");
    std::fs::write(accounts.join("juliet.dat"), account).unwrap();
    let config = format!(
        r#"run_as_root = true
pidfile = "{at}/prosody.pid"
data_path = "{at}/data"
log = {{ debug = "{at}/log" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{}}
c2s_direct_tls_ports = {{ {c2s} }}
s2s_ports = {{ {s2s} }}
s2s_direct_tls_ports = {{}}
unbound = {{ resolvconf = false, hoststxt = false, forward = "{ip}@{port}", options = {{ ["do-not-query-localhost:"] = "no" }} }}
use_ipv6 = false
modules_enabled = {{ "roster", "saslauth", "tls", "dialback", "disco", "ping", "pep", "vcard_legacy", "smacks", "s2s_bidi" }}
authentication = "internal_plain"
storage = "internal"
c2s_require_encryption = true
s2s_require_encryption = true
s2s_secure_auth = false
certificates = "{at}"
ssl = {{ cafile = "{at}/authority.crt" }}
VirtualHost "{DOMAIN}"
Component "conference.{DOMAIN}" "muc"
restrict_room_creation = false
muc_room_locking = false
"#,
        at = folder.display(),
        ip = dns.address.ip(),
        port = dns.address.port(),
    );
    std::fs::write(folder.join("prosody.cfg.lua"), config).unwrap();
    let mut command = Command::new("prosody");
    command.arg("--config").arg(folder.join("prosody.cfg.lua")).arg("-F");
    command
}

fn ejabberd(folder: &Path, dns: &Dns, c2s: u16, s2s: u16) -> Command {
    let config = format!(
        r#"loglevel: debug
hosts: [{DOMAIN}]
certfiles: ["{at}/both.pem"]
ca_file: "{at}/authority.crt"
s2s_cafile: "{at}/authority.crt"
s2s_use_starttls: required
listen:
  - port: {c2s}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    tls: true
    access: all
  - port: {s2s}
    ip: "127.0.0.1"
    module: ejabberd_s2s_in
modules:
  mod_adhoc: {{}}
  mod_caps: {{}}
  mod_disco: {{}}
  mod_muc: {{default_room_options: {{allow_subscription: true}}}}
  mod_ping: {{}}
  mod_pubsub: {{plugins: [flat, pep]}}
  mod_roster: {{}}
  mod_s2s_dialback: {{}}
  mod_vcard: {{}}
"#,
        at = folder.display(),
    );
    std::fs::write(folder.join("ejabberd.yml"), config).unwrap();
    std::fs::write(folder.join("inetrc"), "{resolv_conf, \"\"}.\n{lookup, [dns]}.\n").unwrap();
    let nameserver = format!("inet_db:add_ns({{127,0,0,1}}, {}).", dns.address.port());
    let account = format!(
        "ok = ejabberd_auth:try_register(<<\"juliet\">>, <<\"{DOMAIN}\">>, <<\"{PASSWORD}\">>), \
         io:format(\"~naccount ready~n\")."
    );
    let mut command = Command::new("erl");
    command
        .args(["-noinput", "-mnesia", "dir"])
        .arg(format!("\"{}\"", folder.join("mnesia").display()))
        .args(["-kernel", "inetrc"])
        .arg(format!("\"{}\"", folder.join("inetrc").display()))
        .args(["-eval", &nameserver, "-s", "ejabberd", "-eval", &account])
        .env("ERL_LIBS", LIBRARIES)
        .env("EJABBERD_CONFIG_PATH", folder.join("ejabberd.yml"))
        .env("EJABBERD_LOG_PATH", folder.join("log"))
        .env("ERL_CRASH_DUMP", folder.join("crash.dump"))
        .env("HOME", folder);
    command
}

/// Romeo at our server, Juliet at the other one.
struct Verona {
    romeo: Client,
    juliet: Client,
    server: Server,
    peer: Peer,
}

impl Verona {
    async fn new(software: Software, authority: Option<&Authority>) -> Verona {
        Verona::with(software, authority, "").await
    }

    async fn with(software: Software, authority: Option<&Authority>, s2s: &str) -> Verona {
        let dns = Dns::start().await;
        let plan = Plan {
            accounts: &["romeo"],
            certificate: authority.map(|authority| (authority, Flaw::None)),
            trusts: authority,
            s2s: &format!("require_certificate = {}\n{s2s}", authority.is_some()),
            ..Plan::default()
        };
        let server = Server::launch(&dns, plan).await;
        // ejabberd asks DNS for SRV records, and the operating system for addresses.
        for name in ["_xmpp-server._tcp.a.example", "_xmpp-server._tcp.conference.a.example"] {
            let port = server.address("s2s").port();
            dns.add(name, Record::Service(1, port, "localhost".to_owned()));
        }
        let peer = Peer::start(software, &dns, authority).await;
        let mut romeo = Client::login(&server, "romeo", "x").await.unwrap();
        let mut juliet = Client::login_at(peer.address, DOMAIN, "juliet", "y").await.unwrap();
        for client in [&mut romeo, &mut juliet] {
            client.send("<presence/>").await.unwrap();
            client.find("<presence").await.unwrap();
        }
        Verona { romeo, juliet, server, peer }
    }
}

/// The next child whose text contains all of these.
async fn find(client: &mut Client, parts: &[&str]) -> String {
    loop {
        let next = client.next().await.unwrap();
        if parts.iter().all(|part| next.contains(part)) {
            return next;
        }
    }
}

async fn talk(verona: Verona, by: &str) -> Verona {
    let Verona { mut romeo, mut juliet, server, peer } = verona;
    // Messages.
    romeo
        .send("<message to='juliet@b.example' type='chat'><body>one</body></message>")
        .await
        .unwrap();
    find(&mut juliet, &["<message", "<body>one</body>"]).await;
    juliet
        .send("<message to='romeo@a.example' type='chat'><body>two</body></message>")
        .await
        .unwrap();
    let came = romeo.find("<message").await.unwrap();
    assert_eq!(text(&came, "body"), Some("two"), "{came}");
    assert!(server.log().contains(&format!("\"by\":\"{by}\"")), "{}", server.log());
    // Contacts, asked from either side.
    romeo.send("<presence to='juliet@b.example' type='subscribe'/>").await.unwrap();
    find(&mut juliet, &["<presence", "subscribe", "romeo@a.example"]).await;
    juliet.send("<presence to='romeo@a.example' type='subscribed'/>").await.unwrap();
    romeo.find("<presence from='juliet@b.example/y'").await.unwrap();
    juliet.send("<presence to='romeo@a.example' type='subscribe'/>").await.unwrap();
    find(&mut romeo, &["<presence", "type='subscribe'", "juliet@b.example"]).await;
    romeo.send("<presence to='juliet@b.example' type='subscribed'/>").await.unwrap();
    find(&mut juliet, &["<presence", "romeo@a.example/x"]).await;
    romeo.send("<presence><show>dnd</show></presence>").await.unwrap();
    find(&mut juliet, &["<presence", "romeo@a.example/x", "dnd"]).await;
    let mut second = Client::login(&server, "romeo", "z").await.unwrap();
    second.send("<presence/>").await.unwrap();
    // Her presence, by a probe.
    find(&mut second, &["<presence", "from='juliet@b.example/y'"]).await;
    drop(second);
    // Questions.
    let card = "<iq type='set' id='v'><vCard xmlns='vcard-temp'><FN>J</FN></vCard></iq>";
    juliet.send(card).await.unwrap();
    find(&mut juliet, &["<iq", "result"]).await;
    for (number, (to, payload, expected)) in [
        ("b.example", "<ping xmlns='urn:xmpp:ping'/>", "type='result'"),
        ("b.example", "<query xmlns='http://jabber.org/protocol/disco#info'/>", "identity"),
        ("juliet@b.example", "<vCard xmlns='vcard-temp'/>", "<FN>J</FN>"),
    ]
    .into_iter()
    .enumerate()
    {
        let ask = format!("<iq type='get' id='q{number}' to='{to}'>{payload}</iq>");
        romeo.send(&ask).await.unwrap();
        let answer = find(&mut romeo, &["<iq", &format!("id='q{number}'")]).await;
        assert!(answer.contains(expected), "{answer}");
    }
    let ask = "<iq type='get' id='w' to='a.example'>\
        <query xmlns='http://jabber.org/protocol/disco#info'/></iq>";
    juliet.send(ask).await.unwrap();
    find(&mut juliet, &["<iq", "a.example", "category='server'"]).await;
    let call = "<iq type='set' id='call' to='juliet@b.example/y'>\
        <jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' sid='1'/></iq>";
    romeo.send(call).await.unwrap();
    find(&mut juliet, &["<iq", "session-initiate"]).await;
    juliet.send("<iq type='result' id='call' to='romeo@a.example/x'/>").await.unwrap();
    find(&mut romeo, &["<iq", "id='call'", "type='result'"]).await;
    // What she publishes can be read.
    let publish = "<iq type='set' id='pub'><pubsub xmlns='http://jabber.org/protocol/pubsub'>\
        <publish node='urn:example:mood'><item id='1'><mood xmlns='urn:example:mood'>calm</mood>\
        </item></publish></pubsub></iq>";
    juliet.send(publish).await.unwrap();
    find(&mut juliet, &["<iq", "result", "pub"]).await;
    let read = "<iq type='get' id='read' to='juliet@b.example'>\
        <pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:example:mood'/></pubsub>\
        </iq>";
    romeo.send(read).await.unwrap();
    find(&mut romeo, &["<iq", "id='read'", "calm"]).await;
    rooms(&mut romeo, &mut juliet).await;
    Verona { romeo, juliet, server, peer }
}

async fn rooms(romeo: &mut Client, juliet: &mut Client) {
    for domain in ["a.example", "b.example"] {
        let room = format!("ball@conference.{domain}");
        let enter = |nick: &str| {
            format!(
                "<presence to='{room}/{nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
            )
        };
        let open = format!(
            "<iq type='set' id='open' to='{room}'>\
             <query xmlns='http://jabber.org/protocol/muc#owner'>\
             <x xmlns='jabber:x:data' type='submit'/></query></iq>"
        );
        let nicks = if domain == "a.example" { ["R", "J"] } else { ["J", "R"] };
        {
            let (host, guest) = match domain {
                "a.example" => (&mut *romeo, &mut *juliet),
                _ => (&mut *juliet, &mut *romeo),
            };
            host.send(&enter(nicks[0])).await.unwrap();
            find(host, &["<presence", "110"]).await;
            host.send(&open).await.unwrap();
            find(host, &["<iq", "open"]).await;
            guest.send(&enter(nicks[1])).await.unwrap();
            find(guest, &["<presence", "110"]).await;
            find(host, &["<presence", &format!("{room}/{}", nicks[1])]).await;
            for (number, client) in [&mut *host, &mut *guest].into_iter().enumerate() {
                let said = format!(
                    "<message to='{room}' type='groupchat'><body>said {number}</body></message>"
                );
                client.send(&said).await.unwrap();
            }
            for client in [&mut *host, &mut *guest] {
                let (mut first, mut second) = (false, false);
                while !(first && second) {
                    let came = find(client, &["<message", "<body>said"]).await;
                    first |= came.contains("said 0");
                    second |= came.contains("said 1");
                    assert_eq!(attribute(&came, "type"), Some("groupchat"), "{came}");
                }
            }
            guest
                .send(&format!("<presence to='{room}/{}' type='unavailable'/>", nicks[1]))
                .await
                .unwrap();
            find(host, &["<presence", &format!("{room}/{}", nicks[1]), "unavailable"]).await;
        }
    }
}

#[tokio::test]
#[ignore = "needs Prosody; scripts/test runs it"]
async fn prosody_by_dialback() {
    talk(Verona::new(Software::Prosody, None).await, "dialback").await;
}

#[tokio::test]
#[ignore = "needs Prosody; scripts/test runs it"]
async fn prosody_by_certificate() {
    let authority = Authority::new();
    talk(Verona::new(Software::Prosody, Some(&authority)).await, "EXTERNAL").await;
}

#[tokio::test]
#[ignore = "needs Prosody; scripts/test runs it"]
async fn prosody_with_managed_streams_both_ways() {
    let authority = Authority::new();
    let verona = Verona::new(Software::Prosody, Some(&authority)).await;
    let log = talk(verona, "EXTERNAL").await.server.log();
    assert!(log.contains("\"by\":\"EXTERNAL\",\"bidi\":true,\"managed\":true"), "{log}");
    // Her answers came on the same stream.
    assert!(!log.contains("\"pair\":\"b.example to a.example\""), "{log}");
}

#[tokio::test]
#[ignore = "needs Prosody; scripts/test runs it"]
async fn prosody_with_a_managed_stream_for_each_direction() {
    let authority = Authority::new();
    let verona = Verona::with(Software::Prosody, Some(&authority), "bidi = false").await;
    let Verona { server, peer, .. } = talk(verona, "EXTERNAL").await;
    let log = server.log();
    assert!(log.contains("\"bidi\":false,\"managed\":true"), "{log}");
    assert!(log.contains("\"pair\":\"b.example to a.example\""), "{log}");
    // Both count, in either direction.
    let theirs = std::fs::read_to_string(peer.folder.path().join("log")).unwrap();
    for line in ["Enabling stream management", "Received ack request, acking for"] {
        assert!(theirs.contains(line), "{line}");
    }
}

#[tokio::test]
#[ignore = "needs ejabberd; scripts/test runs it"]
async fn ejabberd_by_dialback() {
    talk(Verona::new(Software::Ejabberd, None).await, "dialback").await;
}

#[tokio::test]
#[ignore = "needs ejabberd; scripts/test runs it"]
async fn ejabberd_by_certificate() {
    let authority = Authority::new();
    talk(Verona::new(Software::Ejabberd, Some(&authority)).await, "EXTERNAL").await;
}
