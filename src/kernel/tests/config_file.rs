//! The `config.toml` in the root explains every key and shows its default.

use wello_kernel::config::Config;

const FILE: &str = include_str!("../../../config.toml");

#[test]
fn it_shows_the_defaults() {
    assert_eq!(Config::parse(FILE, []).unwrap(), Config::default());
}

#[test]
fn it_names_every_key() {
    let names_of_fields = format!("{:#?}", Config::default());
    let keys = names_of_fields.lines().filter_map(|line| line.trim_start().split_once(": "));
    for (key, _) in keys {
        let shown = |line: &str| {
            let line = line.trim_start_matches(['#', ' ']);
            line.starts_with(&format!("{key} = ")) || line.trim_matches(['[', ']']) == key
        };
        assert!(FILE.lines().any(shown), "{key} is not in config.toml");
    }
}
