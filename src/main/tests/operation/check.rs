//! `wello check`.

use std::path::Path;

use super::{folder, run, serve, text, wello};

/// Exit status and findings.
fn check(dir: &Path) -> (Option<i32>, String) {
    let output = run(dir, &["check"]);
    (output.status.code(), text(&output.stdout))
}

#[test]
fn a_folder_is_checked_without_changing_it() {
    let dir = folder("sqlite:wello.db");
    let (status, found) = check(dir.path());
    assert_eq!(status, Some(0), "{found}");
    for line in ["ok       configuration: ", "will be made at the first start", " is free"] {
        assert!(found.contains(line), "{line} in {found}");
    }
    assert!(found.contains("warning  certificate: localhost: self-signed"), "{found}");
    assert!(found.contains("note     DNS: localhost"), "{found}");
    assert!(!dir.path().join("data").exists());
    let (server, _) = serve(dir.path());
    let (status, found) = check(dir.path());
    assert_eq!(status, Some(0), "{found}");
    assert!(found.contains("is in use; the server runs") && found.contains(", schema "), "{found}");
    drop(server);
}

#[test]
fn every_mistake_is_an_error_with_its_mend() {
    let dir = folder("postgres://u:secret@127.0.0.1:1/d");
    let config = dir.path().join("config.toml");
    let right = std::fs::read_to_string(&config).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let text = right.replace("c2s = []", &format!("c2s = [\"{address}\"]"));
    let host = "[[host]]\ndomain = \"a.test\"\ncertificate = \"/none.crt\"\nkey = \"/none\"\n";
    std::fs::write(&config, format!("{text}{host}[contact]\nadmin = [\"me\"]\n")).unwrap();
    std::fs::write(dir.path().join("data"), "").unwrap();
    let (status, found) = check(dir.path());
    assert_eq!(status, Some(1), "{found}");
    for line in
        ["data_dir: ", "storage: PostgreSQL", "certificate: /none.crt", "port: cannot listen"]
    {
        assert!(found.contains(&format!("error    {line}")), "{line} in {found}");
    }
    assert!(found.contains("error    contact: \"me\" is no URI"), "{found}");
    assert!(!found.contains("secret"), "{found}");
    std::fs::write(&config, "[listen]\nc2z = []").unwrap();
    let (status, found) = check(dir.path());
    assert_eq!(status, Some(1));
    assert!(found.contains("error    configuration: ") && found.contains("listen.c2z"), "{found}");
    let other = wello(dir.path(), &["check", "none.toml"]).output().unwrap();
    assert_eq!(other.status.code(), Some(1));
    assert!(super::text(&other.stdout).contains("none.toml: there is no such file"));
}

#[test]
fn keys_for_push_are_looked_at() {
    let dir = folder("sqlite:wello.db");
    let config = dir.path().join("config.toml");
    let right = std::fs::read_to_string(&config).unwrap();
    let with = |push: &str| {
        std::fs::write(&config, format!("{right}{push}")).unwrap();
        check(dir.path())
    };
    let (status, found) = with("");
    assert_eq!(status, Some(0), "{found}");
    assert!(found.contains("ok       push: wakes devices by Web Push, UnifiedPush"), "{found}");
    let (status, found) = with("[push.fcm]\nservice_account = \"/none.json\"\n");
    assert_eq!(status, Some(1), "{found}");
    let line = "error    push: push.fcm.service_account: /none.json cannot be read";
    assert!(found.contains(line), "{found}");
    let key = dir.path().join("key.p8");
    std::fs::write(&key, "no key").unwrap();
    let ids = "key_id = \"short\"\nteam_id = \"DEF123GHIJ\"\ntopic = \"org.example.app\"";
    let (status, found) = with(&format!("[push.apns]\nkey = {key:?}\n{ids}\n"));
    assert_eq!(status, Some(1), "{found}");
    assert!(found.contains("key.p8 is not a PEM file with a private key"), "{found}");
    assert!(found.contains("warning  push: push.apns.key_id: \"short\""), "{found}");
    assert!(found.contains("key.p8: chmod 640 it"), "{found}");
    // A server does not start with keys that it cannot use.
    let refused = run(dir.path(), &["serve"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("key.p8 is not a PEM file"));
    let (_, found) = with("[push]\napp_server = false\n");
    assert!(found.contains("note     push: the app server is off"), "{found}");
}
