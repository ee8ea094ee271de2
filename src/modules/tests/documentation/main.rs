//! `docs/xeps.md` lists what the modules say of themselves. `make docs` writes it.

mod compliance;

use std::path::Path;

use wello_kernel::config::Config;
use wello_kernel::module::{Spec, Status};

/// What the layers below the modules implement.
const BELOW: &[Spec] = &[
    spec("RFC 6120", "XMPP Core", "2011", Status::Complete),
    spec("RFC 7590", "Use of TLS in XMPP", "2015", Status::Complete),
    spec("RFC 7622", "XMPP Address Format", "2015", Status::Complete),
    spec("XEP-0114", "Jabber Component Protocol", "1.6", Status::Complete),
    spec("XEP-0178", "SASL EXTERNAL with Certificates", "1.2", Status::Complete),
    spec("XEP-0185", "Dialback Key Generation and Validation", "1.0", Status::Complete),
    spec("XEP-0198", "Stream Management", "1.6.3", Status::Complete),
    spec("XEP-0220", "Server Dialback", "1.1.1", Status::Complete),
    spec("XEP-0288", "Bidirectional Server-to-Server Connections", "1.0.1", Status::Complete),
    spec("XEP-0352", "Client State Indication", "1.0.0", Status::Complete),
    spec("XEP-0368", "SRV records for XMPP over TLS", "1.1.0", Status::Complete),
    spec("XEP-0386", "Bind 2", "1.1.0", Status::Complete),
    spec("XEP-0388", "Extensible SASL Profile", "1.0.4", Status::Complete),
    spec("XEP-0440", "SASL Channel-Binding Type Capability", "1.0.0", Status::Complete),
    spec("XEP-0474", "SASL SCRAM Downgrade Protection", "0.5.0", Status::Complete),
    spec("XEP-0478", "Stream Limits Advertisement", "0.2.0", Status::Complete),
    spec("XEP-0480", "SASL Upgrade Tasks", "0.2.0", Status::Complete),
    spec(
        "XEP-0484",
        "Fast Authentication Streamlining Tokens",
        "0.2.0",
        Status::Partial("no TLS early data"),
    ),
];

/// What stands above them.
const WEB: &[Spec] = &[
    spec("RFC 7395", "XMPP Subprotocol for WebSocket", "2014", Status::Complete),
    spec("XEP-0124", "Bidirectional-streams Over Synchronous HTTP", "1.11", Status::Complete),
    spec("XEP-0156", "Discovering Alternative XMPP Connection Methods", "1.4.0", Status::Complete),
    spec("XEP-0206", "XMPP Over BOSH", "1.4", Status::Complete),
];

#[test]
fn the_table_of_specifications_is_current() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/xeps.md");
    let table = table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, &table).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == table, "docs/xeps.md is out of date: make docs");
}

fn table() -> String {
    let modules = wello_modules::all(&Config::default());
    let theirs = modules.iter().flat_map(|module| {
        module.specs().iter().map(|spec| (spec, format!("`modules/{}`", module.name())))
    });
    let mut rows: Vec<_> =
        BELOW.iter().map(|spec| (spec, "core".to_owned())).chain(theirs).collect();
    rows.extend(WEB.iter().map(|spec| (spec, "`http`".to_owned())));
    rows.sort_by_key(|(spec, place)| (spec.id, place.clone()));
    let mut text = String::from(
        "# Specifications\n\nWritten by `make docs` from what the modules say of themselves.\n\n\
         | specification | version | state | where |\n|---|---|---|---|\n",
    );
    for (spec, place) in &rows {
        let Spec { id, title, version, status, .. } = *spec;
        let state = match status {
            Status::Complete => "complete".to_owned(),
            Status::Partial(missing) => format!("partial: {missing}"),
        };
        text += &format!("| [{id}]({}): {title} | {version} | {state} | {place} |\n", link(id));
    }
    text + &compliance::tables(&rows)
}

fn link(id: &str) -> String {
    match id.split_once([' ', '-']) {
        Some(("RFC", number)) => format!("https://www.rfc-editor.org/rfc/rfc{number}"),
        _ => format!("https://xmpp.org/extensions/{}.html", id.to_lowercase()),
    }
}

const fn spec(
    id: &'static str,
    title: &'static str,
    version: &'static str,
    status: Status,
) -> Spec {
    Spec { id, title, version, status, host_features: &[], account_features: &[] }
}
