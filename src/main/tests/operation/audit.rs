//! What commands leave in the audit log.

use super::{folder, refusal, run, serve, text};

#[test]
fn every_command_on_an_account_is_in_the_log_and_no_password_is() {
    let dir = folder("sqlite:wello.db");
    let done = |args: &[&str]| {
        let output = run(dir.path(), args);
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    done(&["user", "add", "a@localhost", "--password", "top secret 1", "--admin"]);
    let (server, _) = serve(dir.path());
    done(&["user", "passwd", "a@localhost", "--password", "top secret 2"]);
    done(&["user", "del", "a@localhost"]);
    drop(server);
    let again = ["user", "add", "a@localhost", "--password", "top secret 3"];
    assert!(refusal(dir.path(), &again).contains("not given away again"));
    done(&[&again[..], &["--reuse"]].concat());
    done(&["invite", "--username", "b"]);
    let log = done(&["audit"]);
    let lines: Vec<Vec<&str>> = log.lines().map(|line| line.split('\t').collect()).collect();
    let told: Vec<(&str, &str, &str)> =
        lines.iter().map(|line| (line[3], line[4], line[5])).collect();
    assert_eq!(told[0], ("user add --admin", "a@localhost", "done"));
    assert_eq!(told[1], ("user passwd", "a@localhost", "done"));
    assert_eq!(told[2], ("user del", "a@localhost", "done"));
    assert_eq!(told[3].0, "user add");
    assert!(told[3].2.starts_with("failed: "), "{log}");
    assert_eq!(told[4], ("user add", "a@localhost", "done"));
    assert_eq!(told[5], ("invite", "b", "done"));
    assert!(lines.iter().all(|line| line[1] == "operator" && line[2] == "command line"), "{log}");
    assert!(!log.contains("secret"), "{log}");
    assert_eq!(done(&["audit", "--limit", "1"]).lines().count(), 1);
}

#[test]
fn what_left_the_server_and_what_came_is_in_the_log() {
    let dir = folder("sqlite:wello.db");
    let did = |args: &[&str]| run(dir.path(), args).status.success();
    assert!(did(&["export", "all.xml"]));
    assert!(did(&["import", "xep0227", "all.xml", "--dry-run"]));
    assert!(did(&["import", "xep0227", "all.xml"]));
    assert!(did(&["backup", "b.db"]));
    assert!(!did(&["import", "prosody", "postgres://prosody:top-secret@127.0.0.1:1/prosody"]));
    let log = text(&run(dir.path(), &["audit"]).stdout);
    let told: Vec<Vec<&str>> = log.lines().map(|line| line.split('\t').skip(3).collect()).collect();
    assert_eq!(told.len(), 4, "{log}");
    assert_eq!(told[0], ["export", "all.xml", "done"]);
    assert_eq!(told[1], ["import xep0227", "all.xml", "done"]);
    assert_eq!(told[2], ["backup", "b.db", "done"]);
    assert_eq!(told[3][..2], ["import prosody", "postgres://127.0.0.1:1/prosody"]);
    assert!(told[3][2].starts_with("failed: ") && !log.contains("secret"), "{log}");
}
