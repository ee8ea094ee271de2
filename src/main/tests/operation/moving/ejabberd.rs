//! From a real ejabberd: what it exports, what it dumps, and its SQLite file.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::bosh::Client;
use super::super::serve;
use super::super::transfer::fetch;
use super::super::wait::{wait_for_port, wait_until};
use super::peer::{
    ACCOUNTS, HOST, PASSWORD, Running, find_again, free_port, http_address, imported, live, ours,
    tell,
};

const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu:/usr/lib/aarch64-linux-gnu";

const CARD: &str = "<vCard xmlns='vcard-temp'/>";

/// Romeo and Juliet by themselves; the nurse and both of them by the group.
const CONTACTS: &str = "imported: 3 accounts, 6 contacts, ";

struct Ejabberd {
    folder: tempfile::TempDir,
    http: u16,
}

impl Ejabberd {
    /// With its own storage, or with more settings for another.
    fn new(more: &str) -> Ejabberd {
        let folder = tempfile::tempdir().unwrap();
        let http = free_port();
        let config = format!(
            r#"hosts: [{HOST}]
auth_password_format: scram
listen:
  - port: {http}
    ip: "127.0.0.1"
    module: ejabberd_http
    request_handlers:
      /http-bind: mod_bosh
      /api: mod_http_api
api_permissions:
  "all":
    who: all
    what: "*"
modules:
  mod_blocking: {{}}
  mod_bosh: {{}}
  mod_caps: {{}}
  mod_disco: {{}}
  mod_last: {{}}
  mod_mam: {{default: always}}
  mod_muc: {{default_room_options: {{mam: true}}}}
  mod_offline: {{}}
  mod_privacy: {{}}
  mod_private: {{}}
  mod_pubsub: {{plugins: [flat, pep]}}
  mod_admin_extra: {{}}
  mod_roster: {{}}
  mod_shared_roster: {{}}
  mod_vcard: {{}}
{more}
"#
        );
        std::fs::write(folder.path().join("ejabberd.yml"), config).unwrap();
        Ejabberd { folder, http }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A life there. Then it runs on.
    fn live(&self) -> Running {
        let register: String = ACCOUNTS
            .iter()
            .map(|name| {
                format!(
                    "ok = ejabberd_auth:try_register(<<\"{name}\">>, <<\"{HOST}\">>, <<\"{PASSWORD}\">>), "
                )
            })
            .collect();
        let mut command = Command::new("erl");
        command
            .args(["-noinput", "-mnesia", "dir"])
            .arg(format!("\"{}\"", self.path("mnesia").display()))
            .args(["-s", "ejabberd", "-eval"])
            .arg(format!("{register} file:write_file(\"ready\", <<>>)."))
            .env("ERL_LIBS", LIBRARIES)
            .env("EJABBERD_CONFIG_PATH", self.path("ejabberd.yml"))
            .env("EJABBERD_LOG_PATH", self.path("log"))
            .env("ERL_CRASH_DUMP", self.path("crash.dump"))
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let running = Running(command.spawn().unwrap());
        let log = || std::fs::read_to_string(self.path("log")).unwrap_or_default();
        wait_for_port(self.http, log);
        let is_ready = || self.path("ready").exists();
        wait_until(is_ready, || format!("the accounts are not made: {}", log()));
        let address = format!("127.0.0.1:{}", self.http);
        live(&address, &format!("conference.{HOST}"));
        self.share_contacts();
        running
    }

    /// All are in a group of contacts who see each other.
    fn share_contacts(&self) {
        let group = "\"group\": \"house\"";
        let about = "\"label\": \"House\", \"description\": \"\", \"display\": \"house\"";
        self.command("srg_create", &format!("{{{group}, \"host\": {HOST:?}, {about}}}"));
        for user in ACCOUNTS {
            let place = format!("\"host\": {HOST:?}, \"grouphost\": {HOST:?}");
            self.command("srg_user_add", &format!("{{\"user\": {user:?}, {group}, {place}}}"));
        }
    }

    /// What `ejabberdctl` does.
    fn command(&self, name: &str, arguments: &str) {
        let address = format!("127.0.0.1:{}", self.http);
        let head = "Content-Type: application/json";
        let done = fetch(&address, "POST", &format!("/api/{name}"), head, arguments);
        assert!(done.starts_with("HTTP/1.1 200"), "{done}");
    }
}

/// What the shared group has become, and a file in the docroot of mod_http_upload, in a folder that it calls after the
/// SHA-1 of Romeo's address.
fn find_shared(dir: &Path, from: &Path) {
    let docroot = tempfile::tempdir().unwrap();
    let slot = docroot.path().join("41eeebc93b38acea34611d9aa35d099932091620/Sl0t");
    std::fs::create_dir_all(&slot).unwrap();
    std::fs::write(slot.join("rose.txt"), "by any name").unwrap();
    let (uploads, from) = (docroot.path().to_str().unwrap(), from.to_str().unwrap());
    let printed = imported(dir, &["import", "ejabberd", from, "--uploads", uploads]);
    assert!(printed.contains("1 files"), "{printed}");
    let (server, _) = serve(dir);
    let file = fetch(&http_address(dir), "GET", "/upload/Sl0t/rose.txt", "", "");
    assert!(file.contains("text/plain") && file.ends_with("by any name"), "{file}");
    let mut nurse = Client::open(dir, HOST);
    assert!(nurse.scram("nurse", PASSWORD));
    nurse.bind();
    let roster = "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>";
    let roster = tell(&mut nurse, roster, &["romeo@xmpp.example", "juliet@xmpp.example"]);
    assert_eq!(roster.matches("<group>House</group>").count(), 2, "{roster}");
    assert_eq!(roster.matches("subscription='both'").count(), 2, "{roster}");
    drop(server);
}

/// Twice, and the second time nothing comes.
fn moves_in(dir: &Path, from: &Path, counts: &str) {
    let from = from.to_str().unwrap();
    let printed = imported(dir, &["import", "ejabberd", from]);
    assert!(printed.contains(counts), "{printed}");
    let again = imported(dir, &["import", "ejabberd", from]);
    let line = again.lines().find(|line| line.starts_with("imported: ")).unwrap();
    assert!(!line.contains(|digit: char| ('1'..='9').contains(&digit)), "{again}");
}

#[test]
#[ignore = "wants ejabberd; scripts/test runs it"]
fn ejabberd_with_mnesia_moves_in() {
    let ejabberd = Ejabberd::new("");
    let running = ejabberd.live();
    let dump = ejabberd.path("all.dump");
    ejabberd.command("dump", &format!("{{\"file\": {dump:?}}}"));
    let export = ejabberd.path("export");
    std::fs::create_dir(&export).unwrap();
    ejabberd.command("export_piefxis", &format!("{{\"dir\": {export:?}}}"));
    drop(running);
    let dir = ours();
    moves_in(dir.path(), &dump, CONTACTS);
    find_again(dir.path(), CARD);
    find_shared(dir.path(), &dump);
    // The export has less, but logs in the same.
    let dir = ours();
    moves_in(dir.path(), &export, "imported: 3 accounts, 2 contacts, ");
    moves_in(dir.path(), &export, "3 accounts were here before");
    // What it left out comes with the dump.
    imported(dir.path(), &["import", "ejabberd", dump.to_str().unwrap()]);
    find_again(dir.path(), CARD);
}

#[test]
#[ignore = "wants ejabberd; scripts/test runs it"]
fn ejabberd_with_sqlite_moves_in() {
    let sql =
        "default_db: sql\nsql_type: sqlite\nsql_database: \"ejabberd.sqlite\"\nauth_method: [sql]";
    let ejabberd = Ejabberd::new(sql);
    let running = ejabberd.live();
    drop(running);
    let dir = ours();
    let database = ejabberd.path("ejabberd.sqlite");
    moves_in(dir.path(), &database, CONTACTS);
    find_again(dir.path(), CARD);
    find_shared(dir.path(), &database);
}
