//! What servers need for the categories of XEP-0479 (version 0.1.0, "XMPP Compliance Suites 2023"),
//! and what of it is there. A/V Calling has a table of its own kind there and follows with calls.

use std::collections::HashMap;

use wello_kernel::module::{Spec, Status};

use super::link;

/// From which level on a feature is required of servers.
#[derive(Clone, Copy)]
enum Level {
    Core,
    Advanced,
}

struct Feature {
    name: &'static str,
    level: Level,
    /// All of them are required.
    providers: &'static [&'static str],
    /// Why what is missing of a partial provider is not asked for.
    remark: &'static str,
}

struct Category {
    name: &'static str,
    features: &'static [Feature],
}

const fn feature(name: &'static str, level: Level, providers: &'static [&'static str]) -> Feature {
    Feature { name, level, providers, remark: "" }
}

const CATEGORIES: [Category; 4] = [
    Category {
        name: "Core",
        features: &[
            feature("Core features", Level::Core, &["RFC 6120"]),
            feature("TLS", Level::Core, &["RFC 7590"]),
            feature("Direct TLS", Level::Advanced, &["XEP-0368"]),
            feature("Feature discovery", Level::Core, &["XEP-0030"]),
            feature("Feature broadcasts", Level::Advanced, &["XEP-0115"]),
            feature("Server extensibility", Level::Core, &["XEP-0114"]),
            feature("Event publishing", Level::Advanced, &["XEP-0163"]),
        ],
    },
    Category {
        name: "Web",
        features: &[feature("Web connection mechanisms", Level::Core, &["RFC 7395", "XEP-0206"])],
    },
    Category {
        name: "IM",
        features: &[
            feature("Core features", Level::Core, &["RFC 6121"]),
            feature("User avatar compatibility", Level::Advanced, &["XEP-0398", "XEP-0153"]),
            feature("vcard-temp", Level::Core, &["XEP-0054"]),
            feature("Outbound message synchronization", Level::Core, &["XEP-0280"]),
            feature("User blocking", Level::Advanced, &["XEP-0191"]),
            feature("Group chat", Level::Core, &["XEP-0045", "XEP-0249"]),
            feature("Advanced group chat", Level::Advanced, &["XEP-0048", "XEP-0313", "XEP-0402"]),
            feature(
                "Persistent storage of private data via PubSub",
                Level::Advanced,
                &["XEP-0223"],
            ),
            feature("Private XML storage", Level::Advanced, &["XEP-0049"]),
            Feature {
                remark: "asked of a server is that it offers it to clients",
                ..feature("Stream management", Level::Advanced, &["XEP-0198"])
            },
            feature("History storage and retrieval", Level::Advanced, &["XEP-0313"]),
            feature("File upload", Level::Core, &["XEP-0363"]),
        ],
    },
    Category {
        name: "Mobile",
        features: &[
            Feature {
                remark: "asked of a server is that it offers it to clients",
                ..feature("Stream management", Level::Core, &["XEP-0198"])
            },
            feature("Client state indication", Level::Core, &["XEP-0352"]),
            feature("Third party push notifications", Level::Advanced, &["XEP-0357"]),
        ],
    },
];

/// What we have of a specification, and where.
pub(crate) type Known<'a> = HashMap<&'static str, (Status, &'a str)>;

/// Whether a feature is there, and what is missing.
fn state(feature: &Feature, known: &Known<'_>) -> (bool, String) {
    let missing: Vec<String> = feature
        .providers
        .iter()
        .filter_map(|id| match known.get(id) {
            Some((Status::Complete, _)) => None,
            Some((Status::Partial(_), _)) if !feature.remark.is_empty() => None,
            Some((Status::Partial(what), _)) => Some(format!("{id} is partial: {what}")),
            None => Some(format!("no {id}")),
        })
        .collect();
    match (missing.is_empty(), feature.remark) {
        (true, "") => (true, "yes".to_owned()),
        (true, remark) => (true, format!("yes: {remark}")),
        (false, _) => (false, missing.join("; ")),
    }
}

pub(crate) fn tables(specs: &[(&Spec, String)]) -> String {
    let known: Known<'_> =
        specs.iter().map(|(spec, place)| (spec.id, (spec.status, place.as_str()))).collect();
    let mut text = String::from(
        "\n# Compliance suites\n\nWhat [XEP-0479](https://xmpp.org/extensions/xep-0479.html), version 0.1.0, \
         asks of servers. A category is met when nothing is missing in it and in Core.\n",
    );
    for Category { name, features } in &CATEGORIES {
        let lacking = |advanced: bool| {
            let asked = features.iter().filter(|one| advanced || matches!(one.level, Level::Core));
            let lacking = asked.filter(|one| !state(one, &known).0).count();
            if lacking == 0 { "complete".to_owned() } else { format!("{lacking} missing") }
        };
        text += &format!(
            "\n## {name}: {}; Advanced: {}\n\n| feature | level | by | where | state |\n|---|---|---|---|---|\n",
            lacking(false),
            lacking(true),
        );
        for one in *features {
            let level = match one.level {
                Level::Core => "Core",
                Level::Advanced => "Advanced",
            };
            let by: Vec<_> =
                one.providers.iter().map(|id| format!("[{id}]({})", link(id))).collect();
            let mut places: Vec<_> =
                one.providers.iter().filter_map(|id| Some(known.get(id)?.1)).collect();
            places.sort_unstable();
            places.dedup();
            text += &format!(
                "| {} | {level} | {} | {} | {} |\n",
                one.name,
                by.join(", "),
                places.join(", "),
                state(one, &known).1
            );
        }
    }
    text
}

#[test]
fn what_is_partial_or_not_there_is_missing() {
    let feature =
        |remark| Feature { remark, ..feature("x", Level::Core, &["RFC 6120", "XEP-0198"]) };
    let known = |status| -> Known<'_> {
        [("RFC 6120", (status, "core")), ("XEP-0198", (Status::Complete, "core"))].into()
    };
    let partial = Status::Partial("half");
    assert_eq!(state(&feature(""), &known(Status::Complete)), (true, "yes".to_owned()));
    let expected = (false, "RFC 6120 is partial: half".to_owned());
    assert_eq!(state(&feature(""), &known(partial)), expected);
    assert!(state(&feature("enough"), &known(partial)).0);
    assert_eq!(state(&feature("enough"), &Known::new()).1, "no RFC 6120; no XEP-0198");
}
