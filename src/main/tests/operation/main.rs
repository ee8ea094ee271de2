//! The commands of an operator, on the built program and a folder of its own.

#![allow(clippy::unwrap_used)] // Helpers of tests fail by panicking, like the tests.

mod accounts;
mod acme;
mod audit;
mod bosh;
mod check;
mod moving;
mod restore;
mod transfer;
#[path = "../black_box/wait.rs"]
mod wait;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// A folder with a configuration whose only listener is plain HTTP on a free port.
fn folder(storage: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = format!(
        "hosts = [\"localhost\"]\ndata_dir = {:?}\n[listen]\nbytestreams = []\nmedia = []\nturn = []\nturns = []\nc2s = []\nc2s_tls = []\n\
         https = []\nhttp = [\"{free}\"]\n[s2s]\nenabled = false\n[storage]\nurl = {storage:?}\n",
        dir.path().join("data")
    );
    std::fs::write(dir.path().join("config.toml"), config).unwrap();
    dir
}

fn wello(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wello"));
    command.args(args).arg("--config").arg(dir.join("config.toml")).current_dir(dir);
    command
}

fn run(dir: &Path, args: &[&str]) -> Output {
    wello(dir, args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the server; returns it with what it printed before `ready`.
fn serve(dir: &Path) -> (Server, Vec<String>) {
    let mut command = wello(dir, &["serve"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut server = Server(child);
    let lines = BufReader::new(server.0.stdout.take().unwrap()).lines();
    let before: Vec<String> =
        lines.map(Result::unwrap).take_while(|line| !line.starts_with("ready")).collect();
    (server, before)
}

#[test]
fn health_tells_a_running_server_from_a_stopped_one() {
    let dir = folder("sqlite:wello.db");
    assert_eq!(run(dir.path(), &["health"]).status.code(), Some(1));
    let (server, _) = serve(dir.path());
    assert_eq!(run(dir.path(), &["health"]).status.code(), Some(0));
    drop(server);
    assert_eq!(run(dir.path(), &["health"]).status.code(), Some(1));
}

#[test]
fn the_first_administrator_is_invited_until_there_is_an_account() {
    let dir = folder("sqlite:wello.db");
    let (server, first) = serve(dir.path());
    drop(server);
    assert!(first[0].contains("/invite/"), "{first:?}");
    let (server, again) = serve(dir.path());
    drop(server);
    assert_eq!(again, first);
    let added = run(dir.path(), &["user", "add", "a@localhost", "--password", "long enough 1"]);
    assert!(added.status.success());
    assert_eq!(serve(dir.path()).1, Vec::<String>::new());
}

#[test]
fn the_first_administrator_comes_in_by_the_page() {
    let dir = folder("sqlite:wello.db");
    let (server, printed) = serve(dir.path());
    let (_, link) = printed[0].rsplit_once("http://").unwrap();
    let (host, path) = link.split_once('/').unwrap();
    let form = "username=boss&password=long+enough+1&repeated=long+enough+1";
    let mut stream = TcpStream::connect(host.replace("localhost", "127.0.0.1")).unwrap();
    let head = "Content-Type: application/x-www-form-urlencoded\r\nConnection: close";
    let length = form.len();
    write!(stream, "POST /{path} HTTP/1.1\r\nHost: {host}\r\n{head}\r\n").unwrap();
    write!(stream, "Content-Length: {length}\r\n\r\n{form}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    drop(server);
    let listed = text(&run(dir.path(), &["user", "list"]).stdout);
    assert!(listed.contains("boss@localhost") && listed.contains("admin"), "{listed}");
    assert_eq!(serve(dir.path()).1, Vec::<String>::new());
}

#[test]
fn an_invitation_has_a_link_and_an_address() {
    let dir = folder("sqlite:wello.db");
    let invited = run(dir.path(), &["invite", "--username", "bob", "--days", "2"]);
    let printed = text(&invited.stdout);
    let lines: Vec<&str> = printed.lines().collect();
    let token = lines[0].rsplit_once("/invite/").unwrap().1;
    assert_eq!(lines[1], format!("xmpp:bob@localhost?register;preauth={token}"));
    // The name is kept for bob now.
    let again = run(dir.path(), &["invite", "--username", "bob"]);
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(text(&again.stderr), "wello: the name is not free\n");
    let elsewhere = run(dir.path(), &["invite", "--domain", "elsewhere.example"]);
    assert_eq!(elsewhere.status.code(), Some(1));
    assert_eq!(run(dir.path(), &["invite", "--uses", "0"]).status.code(), Some(2));
}

#[test]
fn a_backup_of_a_running_server_has_its_accounts() {
    let dir = folder("sqlite:wello.db");
    let added = run(dir.path(), &["user", "add", "a@localhost", "--password", "long enough 1"]);
    assert!(added.status.success());
    let (_server, _) = serve(dir.path());
    assert_eq!(run(dir.path(), &["backup", "b.db"]).status.code(), Some(0));
    // Never over another backup.
    assert_eq!(run(dir.path(), &["backup", "b.db"]).status.code(), Some(1));
    let other = folder("sqlite:wello.db");
    std::fs::create_dir(other.path().join("data")).unwrap();
    std::fs::copy(dir.path().join("b.db"), other.path().join("data/wello.db")).unwrap();
    assert_eq!(text(&run(other.path(), &["user", "list"]).stdout), "a@localhost\tuser\n");
}

#[test]
fn postgresql_is_backed_up_by_its_own_tool() {
    let dir = folder("postgres://nobody@127.0.0.1:1/none");
    let refused = run(dir.path(), &["backup", "b.db"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("pg_dump"));
}

/// Exit status 1 and one line on stderr.
fn refusal(dir: &Path, args: &[&str]) -> String {
    let refused = wello(dir, args).env("WELLO_LOG__LEVEL", "error").output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{args:?}: {}", text(&refused.stderr));
    let line = text(&refused.stderr);
    assert_eq!(line.trim_end().lines().count(), 1, "{line}");
    line
}

#[test]
fn a_second_server_on_one_data_dir_is_refused() {
    let dir = folder("sqlite:wello.db");
    let (server, _) = serve(dir.path());
    let line = refusal(dir.path(), &["serve"]);
    assert!(line.contains("data_dir") && line.contains(&server.0.id().to_string()), "{line}");
    drop(server);
    serve(dir.path());
}

#[test]
fn mistakes_at_the_start_are_one_line_that_says_what_to_do() {
    let dir = folder("sqlite:wello.db");
    let config = dir.path().join("config.toml");
    let right = std::fs::read_to_string(&config).unwrap();
    let with = |text: String| {
        std::fs::write(&config, text).unwrap();
        let line = refusal(dir.path(), &["serve"]);
        std::fs::write(&config, &right).unwrap();
        line
    };
    let line = with(right.replace("http = ", "htpp = "));
    let at = right.lines().position(|line| line.starts_with("http = ")).unwrap() + 1;
    let place = format!("line {at}, listen.htpp");
    assert!(line.contains(&place) && line.contains("https"), "{line}");
    let line = with(format!("{right}[archive]\npolicy = \"sometimes\"\n"));
    let place = format!("line {}, archive.policy", right.lines().count() + 2);
    assert!(line.contains(&place) && line.contains("roster"), "{line}");
    let files = "[[host]]\ndomain = \"a.example\"\ncertificate = \"/none.crt\"\nkey = \"/none\"\n";
    let line = with(format!("{right}{files}"));
    assert!(line.contains("/none.crt: cannot be read"), "{line}");
    let line = with(right.replace("sqlite:wello.db", "postgres://u:secret@127.0.0.1:1/d"));
    assert!(line.contains("storage.url: PostgreSQL at 127.0.0.1:1/d"), "{line}");
    assert!(!line.contains("secret"), "{line}");
    let line = with(right.replace("sqlite:wello.db", "mysql:x"));
    assert!(line.contains("postgres://USER:PASSWORD@HOST/DATABASE"), "{line}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let line = with(right.replace("c2s = []", &format!("c2s = [\"{address}\"]")));
    assert!(line.contains(&address) && line.contains("another program has this port"), "{line}");
    assert_eq!(line.matches("in use").count(), 1, "{line}");
    // Without its log, which would mend it.
    let _ = std::fs::remove_file(dir.path().join("data/wello.db-wal"));
    let _ = std::fs::remove_file(dir.path().join("data/wello.db-shm"));
    std::fs::write(dir.path().join("data/wello.db"), "x".repeat(5000)).unwrap();
    let line = refusal(dir.path(), &["serve"]);
    assert!(line.contains("wello.db: ") && line.contains("not a database"), "{line}");
    std::fs::remove_file(&config).unwrap();
    assert!(refusal(dir.path(), &["serve"]).contains("config.toml: there is no such file"));
}
