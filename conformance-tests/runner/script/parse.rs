//! Text to [`Script`].

use std::path::Path;

use regex::Regex;

use super::lines::{Item, group, read};
use super::steps::parse_steps;
use super::{ActorSpec, Host, Script, Subscription, Transport};
use crate::text::Template;

/// Loads one file. The id is its path below `root`.
pub(crate) fn load(root: &Path, path: &Path) -> anyhow::Result<Script> {
    let id = path.strip_prefix(root).unwrap_or(path).with_extension("");
    let id = id.to_string_lossy().replace('\\', "/");
    let text = std::fs::read_to_string(path)?;
    parse(&id, &text).map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))
}

fn parse(id: &str, text: &str) -> Result<Script, String> {
    let mut script = title(id, text)?;
    let lines = read(text);
    let split = lines
        .iter()
        .position(|l| l.text.starts_with("-----"))
        .ok_or("no line ----- between actors and steps")?;
    for item in group(&lines[..split]) {
        header_item(&mut script, &item).map_err(|e| format!("line {}: {e}", item.line.number))?;
    }
    script.steps = parse_steps(&group(&lines[split + 1..]))?;
    check_actors(&script)?;
    Ok(script)
}

/// `# RFC 6120 §4.9.3.6: what is shown`
fn title(id: &str, text: &str) -> Result<Script, String> {
    let first = text.lines().next().unwrap_or_default();
    // The pattern is a constant that the tests run through.
    let form =
        Regex::new(r"^# ((?:RFC|XEP)[- ]\d+) (§\S[^:]*): (.+)$").map_err(|e| e.to_string())?;
    let found =
        form.captures(first).ok_or("the first line must read: # RFC 6120 §1.2: what is shown")?;
    Ok(Script {
        id: id.to_owned(),
        spec: found[1].to_owned(),
        clause: found[2].to_owned(),
        title: found[3].to_owned(),
        needs: Vec::new(),
        skips: Vec::new(),
        config: None,
        own_server: false,
        actors: Vec::new(),
        steps: Vec::new(),
    })
}

fn header_item(script: &mut Script, item: &Item) -> Result<(), String> {
    let text = item.text();
    if let Some(name) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        script.actors.push(actor(name, item)?);
        return Ok(());
    }
    let (key, value) = key_value(text)?;
    match key.split_once(' ') {
        None if key == "needs" => script.needs.extend(words(value)),
        None if key == "config" => {
            script.config = Some(toml::from_str(&item.body()).map_err(|e| e.to_string())?);
        }
        None if key == "server" && value == "own" => script.own_server = true,
        Some(("skip", target)) if !value.is_empty() => {
            script.skips.push((target.to_owned(), value.to_owned()));
        }
        _ => return Err(format!("unknown header {text:?}")),
    }
    Ok(())
}

fn actor(name: &str, item: &Item) -> Result<ActorSpec, String> {
    let lower = name.to_lowercase();
    let mut spec = ActorSpec {
        name: name.to_owned(),
        account: lower.clone(),
        admin: false,
        registered: true,
        host: Host::default(),
        component: None,
        resource: Some(lower),
        transport: Transport::default(),
        presence: true,
        interested: false,
        acks: true,
        mechanism: None,
        bearer: None,
        from: false,
        roster: Vec::new(),
    };
    for option in item.items() {
        actor_option(&mut spec, option.text())?;
    }
    Ok(spec)
}

fn actor_option(spec: &mut ActorSpec, text: &str) -> Result<(), String> {
    let (key, value) = key_value(text)?;
    match key {
        "account" => spec.account = value.to_lowercase(),
        "admin" => spec.admin = yes(value)?,
        "registered" => spec.registered = yes(value)?,
        "host" => spec.host = host(value)?,
        "component" => {
            let (domain, secret) = value.split_once(' ').ok_or("component: DOMAIN SECRET")?;
            spec.component = Some((domain.to_owned(), secret.to_owned()));
            spec.transport = Transport::Component;
            (spec.resource, spec.presence) = (None, false);
        }
        "resource" => spec.resource = (value != "server").then(|| value.to_owned()),
        "transport" => spec.transport = transport(value)?,
        "presence" => spec.presence = yes(value)?,
        "interested" => spec.interested = yes(value)?,
        "from" => spec.from = yes(value)?,
        "acks" => spec.acks = yes(value)?,
        "mechanism" => spec.mechanism = Some(value.to_owned()),
        "bearer" => spec.bearer = Some(Template::parse(value)?),
        "roster" => {
            for entry in value.split(',') {
                spec.roster.push(roster_entry(entry.trim())?);
            }
        }
        _ => return Err(format!("unknown actor option {key:?}")),
    }
    Ok(())
}

fn roster_entry(text: &str) -> Result<(String, Subscription), String> {
    let (who, state) = text.split_once(' ').ok_or("roster: NAME both|to|from")?;
    let state = match state {
        "both" => Subscription::Both,
        "to" => Subscription::To,
        "from" => Subscription::From,
        other => return Err(format!("unknown subscription {other:?}")),
    };
    Ok((who.to_owned(), state))
}

fn host(value: &str) -> Result<Host, String> {
    match value {
        "second" => Ok(Host::Second),
        "guests" => Ok(Host::Guests),
        other => Err(format!("unknown host {other:?}")),
    }
}

fn transport(value: &str) -> Result<Transport, String> {
    Ok(match value {
        "starttls" => Transport::StartTls,
        "tls" => Transport::DirectTls,
        "websocket" => Transport::WebSocket,
        "bosh" => Transport::Bosh,
        other => return Err(format!("unknown transport {other:?}")),
    })
}

fn yes(value: &str) -> Result<bool, String> {
    match value {
        "yes" => Ok(true),
        "no" => Ok(false),
        other => Err(format!("{other:?} is neither yes nor no")),
    }
}

fn words(value: &str) -> impl Iterator<Item = String> + '_ {
    value.split([',', ' ']).filter(|w| !w.is_empty()).map(str::to_owned)
}

pub(super) fn key_value(text: &str) -> Result<(&str, &str), String> {
    let (key, value) = text.split_once(':').ok_or_else(|| format!("no colon in {text:?}"))?;
    Ok((key.trim(), value.trim()))
}

fn check_actors(script: &Script) -> Result<(), String> {
    for spec in &script.actors {
        for (other, _) in &spec.roster {
            if script.actor(other).is_none() {
                return Err(format!("[{}] names unknown actor {other}", spec.name));
            }
        }
    }
    check_steps(script, &script.steps)
}

fn check_steps(script: &Script, steps: &[super::Step]) -> Result<(), String> {
    for step in steps {
        match &step.action {
            super::Action::Actor(name, _) if script.actor(name).is_none() => {
                return Err(format!("line {}: unknown actor {name}", step.line));
            }
            super::Action::Unordered(inner) => check_steps(script, inner)?,
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Action, Deed, Stage};
    use super::*;

    const SAMPLE: &str = "# RFC 6120 §4.9.3.6: host-unknown\n\
        needs: starttls, second-host\nskip prosody: answers late\nconfig:\n\t[limits]\n\tx = 1\n\n\
        [Romeo]\n\tresource: server\n\troster: Juliet both\n[Juliet]\n\taccount: romeo\n-----\n\
        # comment\nRomeo connects raw\n\nRomeo sends:\n\t<message>\n\t\t<body/>\n\t</message>\n\
        unordered:\n\tRomeo receives within 20 s:\n\t\t<iq/>\n\tJuliet receives nothing\n\
        http: GET https://x/\n\texpect status: 200\n";

    #[test]
    fn sample_parses() {
        let s = parse("rfc6120/x", SAMPLE).unwrap();
        assert_eq!((s.spec.as_str(), s.clause.as_str()), ("RFC 6120", "§4.9.3.6"));
        assert_eq!(s.needs, ["starttls", "second-host"]);
        assert_eq!(s.actors[0].resource, None);
        assert_eq!(s.actors[1].account, "romeo");
        assert!(s.needs_own_server());
        assert_eq!(s.steps.len(), 4);
        assert!(
            matches!(&s.steps[0].action, Action::Actor(n, Deed::Reach(Stage::Raw)) if n == "Romeo")
        );
        let Action::Unordered(inner) = &s.steps[2].action else { panic!() };
        assert_eq!(inner[0].limit.as_secs(), 20);
    }

    #[test]
    fn mistakes_are_named() {
        for (from, to) in [
            ("§4.9.3.6", "4.9.3.6"),
            ("-----\n", "\n"),
            ("Romeo connects raw", "Mercutio connects raw"),
            ("<body/>", "<body>"),
            ("connects raw", "conects raw"),
            ("needs:", "need:"),
            ("resource:", "resourse:"),
        ] {
            assert!(parse("x", &SAMPLE.replacen(from, to, 1)).is_err(), "{to} was accepted");
        }
    }
}
