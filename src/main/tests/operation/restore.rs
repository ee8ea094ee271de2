//! Backups that come back.

use super::{folder, refusal, run, serve, text};

#[test]
fn a_backup_comes_back_and_what_was_there_is_kept() {
    let dir = folder("sqlite:wello.db");
    let users = || text(&run(dir.path(), &["user", "list"]).stdout);
    let add = |jid: &str| run(dir.path(), &["user", "add", jid, "--password", "long enough 1"]);
    add("a@localhost");
    assert!(run(dir.path(), &["backup", "b.db"]).status.success());
    add("b@localhost");
    let (server, _) = serve(dir.path());
    let line = refusal(dir.path(), &["restore", "b.db"]);
    assert!(line.contains("in use by a running server") && line.contains("stop it to restore"));
    drop(server);
    let restored = run(dir.path(), &["restore", "b.db"]);
    assert!(restored.status.success(), "{}", text(&restored.stderr));
    assert_eq!(users(), "a@localhost\tuser\n");
    // The killed server's last writes are in the log, which was kept, too.
    let printed = text(&restored.stdout);
    let kept = printed.split("kept as ").nth(1).unwrap().trim();
    assert!(run(dir.path(), &["restore", kept]).status.success());
    assert_eq!(users(), "a@localhost\tuser\nb@localhost\tuser\n");
    let names: Vec<_> = std::fs::read_dir(dir.path().join("data")).unwrap().flatten().collect();
    assert!(names.iter().all(|name| !name.file_name().to_string_lossy().contains("restoring")));
    serve(dir.path());
}

#[test]
fn what_is_no_backup_changes_nothing() {
    let dir = folder("sqlite:wello.db");
    run(dir.path(), &["user", "add", "a@localhost", "--password", "long enough 1"]);
    assert!(refusal(dir.path(), &["restore", "none.db"]).contains("none.db"));
    std::fs::write(dir.path().join("junk.db"), "x".repeat(5000)).unwrap();
    assert!(refusal(dir.path(), &["restore", "junk.db"]).contains("not a database"));
    std::fs::write(dir.path().join("empty.db"), "").unwrap();
    assert!(refusal(dir.path(), &["restore", "empty.db"]).contains("not a database of Wello"));
    assert_eq!(text(&run(dir.path(), &["user", "list"]).stdout), "a@localhost\tuser\n");
    let other = folder("postgres://nobody@127.0.0.1:1/none");
    assert!(refusal(other.path(), &["restore", "b.db"]).contains("pg_restore"));
}
