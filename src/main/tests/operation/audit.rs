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
