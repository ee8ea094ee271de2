//! A certificate from an authority that others wrote: Pebble, of Let's Encrypt, with its own DNS.
//! Skipped where Debian's package `pebble` is not.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{Server, run, text, wello};

/// The authority, its DNS server, and where it will look for answers.
struct Authority {
    dir: TempDir,
    directory: SocketAddr,
    http: SocketAddr,
    tls: SocketAddr,
    _running: [Server; 2],
}

impl Authority {
    /// `None` when there is none on this machine.
    fn start() -> Option<Authority> {
        if Command::new("pebble").arg("-help").stderr(Stdio::null()).status().is_err() {
            println!("skipped: there is no pebble (Debian package pebble)");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let [directory, http, tls, dns, names, management] = free();
        let config = format!(
            r#"{{"pebble": {{"listenAddress": "{directory}", "managementListenAddress": "{management}",
            "certificate": "authority.crt", "privateKey": "authority.key",
            "httpPort": {}, "tlsPort": {}}}}}"#,
            http.port(),
            tls.port()
        );
        std::fs::write(dir.path().join("pebble.json"), config).unwrap();
        make_certificate(dir.path());
        let mut resolver = Command::new("pebble-challtestsrv");
        for (option, value) in [("-dns01", dns.to_string()), ("-management", names.to_string())] {
            resolver.args([option, &value]);
        }
        // Every name is here, by IPv4 alone; challenges are answered by the server under test.
        resolver.args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""]);
        resolver.args(["-http01", "", "-https01", "", "-tlsalpn01", ""]);
        let resolver = spawn(dir.path(), &mut resolver, "Starting management server");
        let mut pebble = Command::new("pebble");
        pebble.args(["-config", "pebble.json", "-dnsserver", &dns.to_string()]);
        pebble.env("PEBBLE_VA_NOSLEEP", "1");
        let pebble = spawn(dir.path(), &mut pebble, "ACME directory available");
        Some(Authority { dir, directory, http, tls, _running: [resolver, pebble] })
    }
}

fn free<const N: usize>() -> [SocketAddr; N] {
    // Held together, so that they differ.
    let listeners: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}

fn make_certificate(dir: &Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-keyout", "authority.key", "-out", "authority.crt", "-subj", "/CN=authority"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
}

/// Starts a program and waits for the line that says that it is there.
fn spawn(dir: &Path, command: &mut Command, ready: &str) -> Server {
    let mut server = Server(
        command.current_dir(dir).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap(),
    );
    let mut lines = BufReader::new(server.0.stdout.take().unwrap()).lines();
    lines.find(|line| line.as_ref().is_ok_and(|line| line.contains(ready))).unwrap().unwrap();
    std::thread::spawn(move || lines.for_each(drop));
    server
}

/// Starts the server and waits for what becomes of its certificate.
fn obtain(authority: &Authority, challenge: &str) -> (TempDir, Server, String) {
    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        "hosts = [\"chat.test\"]\ndata_dir = {:?}\n[listen]\nbytestreams = []\nmedia = []\nturn = []\nturns = []\nc2s = []\nc2s_tls = []\n\
         https = [\"{}\"]\nhttp = [\"{}\"]\n[s2s]\nenabled = false\n[acme]\nenabled = true\nchallenge = \"{challenge}\"\n\
         directory = \"https://{}/dir\"\nroot = {:?}\n",
        dir.path().join("data"),
        authority.tls,
        authority.http,
        authority.directory,
        authority.dir.path().join("authority.crt"),
    );
    std::fs::write(dir.path().join("config.toml"), config).unwrap();
    let mut command = wello(dir.path(), &["serve"]);
    let mut child: Child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let server = Server(child);
    let outcome = lines.find(|line| line.contains("by ACME")).unwrap();
    std::thread::spawn(move || lines.for_each(drop));
    (dir, server, outcome)
}

/// The certificate that clients are shown.
fn shown(address: SocketAddr) -> String {
    let script = format!(
        "openssl s_client -connect {address} -servername chat.test </dev/null 2>/dev/null \
         | openssl x509 -noout -issuer -ext subjectAltName"
    );
    text(&Command::new("sh").args(["-c", &script]).output().unwrap().stdout)
}

#[test]
fn a_certificate_is_obtained_and_served() {
    let Some(authority) = Authority::start() else { return };
    for challenge in ["tls-alpn-01", "http-01"] {
        let (dir, server, outcome) = obtain(&authority, challenge);
        assert!(outcome.contains("certificate obtained by ACME"), "{challenge}: {outcome}");
        let certificate = shown(authority.tls);
        assert!(certificate.contains("Pebble Intermediate CA"), "{challenge}: {certificate}");
        for name in ["DNS:chat.test", "DNS:conference.chat.test", "DNS:upload.chat.test"] {
            assert!(certificate.contains(name), "{challenge}: {name} in {certificate}");
        }
        let checked = text(&run(dir.path(), &["check"]).stdout);
        assert!(checked.contains("ok       certificate: chat.test: good for"), "{checked}");
        drop(server);
    }
}
