//! From a real Prosody, with its internal storage and with SQLite.

use std::path::Path;
use std::process::{Command, Stdio};

use super::super::serve;
use super::super::transfer::fetch;
use super::super::wait::wait_for_port;
use super::peer::{
    ACCOUNTS, HOST, PASSWORD, Running, find_again, free_port, http_address, imported, live, online,
    ours, tell,
};

/// mod_vcard_legacy turns old vCards into new ones.
const CARD: &str =
    "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:vcard4'/></pubsub>";

struct Prosody {
    folder: tempfile::TempDir,
    http: u16,
}

impl Prosody {
    fn new(storage: &str) -> Prosody {
        let folder = tempfile::tempdir().unwrap();
        let http = free_port();
        let config = format!(
            r#"run_as_root = true
pidfile = "{at}/prosody.pid"
data_path = "{at}/data"
log = {{ debug = "{at}/log" }}
c2s_ports = {{}}
c2s_direct_tls_ports = {{}}
s2s_ports = {{}}
s2s_direct_tls_ports = {{}}
http_ports = {{ {http} }}
http_interfaces = {{ "127.0.0.1" }}
https_ports = {{}}
consider_bosh_secure = true
modules_enabled = {{ "roster", "saslauth", "disco", "pep", "private", "vcard_legacy", "blocklist", "mam", "bosh" }}
modules_disabled = {{ "s2s" }}
authentication = "internal_hashed"
{storage}
VirtualHost "{HOST}"
http_host = "localhost"
Component "rooms.{HOST}" "muc"
modules_enabled = {{ "muc_mam" }}
muc_room_locking = false
restrict_room_creation = false
Component "pubsub.{HOST}" "pubsub"
admins = {{ "romeo@{HOST}" }}
Component "upload.{HOST}" "http_file_share"
http_host = "localhost"
http_external_url = "http://localhost:{http}/"
"#,
            at = folder.path().display()
        );
        std::fs::write(folder.path().join("prosody.cfg.lua"), config).unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        Prosody { folder, http }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("--config").arg(self.folder.path().join("prosody.cfg.lua"));
        command.current_dir(self.folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// A life there, until it has ended. Returns the path of what Romeo uploaded.
    fn live(&self) -> String {
        for name in ACCOUNTS {
            let mut register = self.command("prosodyctl");
            assert!(register.args(["register", name, HOST, PASSWORD]).status().unwrap().success());
        }
        let running = Running(self.command("prosody").arg("-F").spawn().unwrap());
        let log = self.folder.path().join("log");
        wait_for_port(self.http, || std::fs::read_to_string(&log).unwrap_or_default());
        let address = format!("127.0.0.1:{}", self.http);
        live(&address, &format!("rooms.{HOST}"));
        let slot = upload(&address);
        running.stop();
        slot
    }
}

/// Uploads a file; returns its slot.
fn upload(address: &str) -> String {
    let mut romeo = online(address, "romeo");
    let ask = "<iq type='get' id='u1' to='upload.xmpp.example'>\
               <request xmlns='urn:xmpp:http:upload:0' filename='a rose.txt' size='11' content-type='text/plain'/></iq>";
    let slot = tell(&mut romeo, ask, &["<put", "Bearer"]);
    let after = |start: &str, end: char| {
        let rest = slot.split_once(start).unwrap().1;
        rest.split_once(end).unwrap().0.to_owned()
    };
    let put = slot.split_once("<put").unwrap().1;
    let url = put.split_once("url='").unwrap().1.split_once('\'').unwrap().0;
    let path = url.splitn(4, '/').nth(3).unwrap();
    let bearer = after("Bearer ", '<');
    let head = format!("Authorization: Bearer {bearer}\r\nContent-Type: text/plain");
    let stored = fetch(address, "PUT", &format!("/{path}"), &head, "by any name");
    assert!(stored.starts_with("HTTP/1.1 201"), "{stored}");
    path.split('/').nth(1).unwrap().to_owned()
}

fn moves_in(from: &Path, slot: &str) {
    let dir = ours();
    let from = from.to_str().unwrap();
    let dry = imported(dir.path(), &["import", "prosody", from, "--dry-run"]);
    let counts = "imported: 3 accounts, 2 contacts, 0 subscription requests, ";
    assert!(dry.contains(&format!("would be {counts}")), "{dry}");
    let printed = imported(dir.path(), &["import", "prosody", from]);
    assert!(
        printed.contains(counts) && printed.contains("1 rooms, 1 files, 1 archiving"),
        "{printed}"
    );
    assert_eq!(
        printed.lines().find(|l| l.contains("imported: ")).unwrap().replace("would be ", ""),
        dry.lines().find(|l| l.contains("imported: ")).unwrap().replace("would be ", "")
    );
    let again = imported(dir.path(), &["import", "prosody", from]);
    let line = again.lines().find(|line| line.starts_with("imported: ")).unwrap();
    assert!(!line.contains(|digit: char| ('1'..='9').contains(&digit)), "{again}");
    find_again(dir.path(), CARD);
    let (server, _) = serve(dir.path());
    let file =
        fetch(&http_address(dir.path()), "GET", &format!("/upload/{slot}/a%20rose.txt"), "", "");
    assert!(file.ends_with("by any name"), "{file}");
    drop(server);
}

#[test]
#[ignore = "wants Prosody; scripts/test runs it"]
fn prosody_with_its_own_files_moves_in() {
    let prosody = Prosody::new("storage = \"internal\"");
    let slot = prosody.live();
    moves_in(&prosody.data(), &slot);
}

#[test]
#[ignore = "wants Prosody; scripts/test runs it"]
fn prosody_with_sqlite_moves_in() {
    let sql = "storage = \"sql\"\nsql = { driver = \"SQLite3\", database = \"prosody.sqlite\" }";
    let prosody = Prosody::new(sql);
    let slot = prosody.live();
    moves_in(&prosody.data().join("prosody.sqlite"), &slot);
}
