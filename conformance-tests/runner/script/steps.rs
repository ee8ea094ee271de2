//! The step lines of a script.

use std::time::Duration;

use super::lines::Item;
use super::parse::key_value;
use super::{Action, AuthStep, Comparison, Deed, HttpStep, Stage, Step};
use crate::text::Template;
use crate::xml::{Element, NS_CLIENT, NS_SCN, Node, parse_fragment};

const NS_STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

/// Long enough for a debug build on a busy machine, short enough to notice a missing answer.
const DEFAULT_LIMIT: Duration = Duration::from_secs(5);

pub(super) fn parse_steps(items: &[Item]) -> Result<Vec<Step>, String> {
    items
        .iter()
        .map(|item| step(item).map_err(|e| format!("line {}: {e}", item.line.number)))
        .collect()
}

fn step(item: &Item) -> Result<Step, String> {
    let (text, limit) = split_limit(item.text())?;
    Ok(Step { line: item.line.number, limit, action: action(&text, item)? })
}

/// Cuts ` within 20 s` out of a step line.
fn split_limit(text: &str) -> Result<(String, Duration), String> {
    let Some((head, tail)) = text.split_once(" within ") else {
        return Ok((text.to_owned(), DEFAULT_LIMIT));
    };
    let (seconds, rest) = tail.split_once(" s").ok_or("within N s")?;
    let seconds: u64 = seconds.parse().map_err(|_| "within N s".to_owned())?;
    Ok((format!("{head}{rest}"), Duration::from_secs(seconds)))
}

fn action(text: &str, item: &Item) -> Result<Action, String> {
    match text {
        "unordered:" => return Ok(Action::Unordered(parse_steps(&item.items())?)),
        "restart server" => return Ok(Action::Restart),
        "kill server" => return Ok(Action::Kill),
        _ => {}
    }
    if let Some(request) = text.strip_prefix("http:") {
        return Ok(Action::Http(http(request.trim(), item)?));
    }
    if let Some(rest) = text.strip_prefix("set ") {
        let (name, value) = rest.split_once(" = ").ok_or("set NAME = 'VALUE'")?;
        return Ok(Action::Set(name.trim().to_owned(), quoted(value)?));
    }
    if let Some(rest) = text.strip_prefix("check ") {
        return check(rest);
    }
    let (name, rest) = text.split_once(' ').ok_or_else(|| format!("unknown step {text:?}"))?;
    Ok(Action::Actor(name.to_owned(), deed(rest, item)?))
}

fn check(rest: &str) -> Result<Action, String> {
    let (left, comparison, right) = if let Some((l, r)) = rest.split_once(" is not ") {
        (l, Comparison::IsNot, r)
    } else if let Some((l, r)) = rest.split_once(" is ") {
        (l, Comparison::Is, r)
    } else {
        return Err("check 'A' is 'B'".to_owned());
    };
    Ok(Action::Check(quoted(left)?, comparison, quoted(right)?))
}

fn quoted(text: &str) -> Result<Template, String> {
    let text = text.trim();
    let inner = text.strip_prefix('\'').and_then(|t| t.strip_suffix('\''));
    Template::parse(inner.ok_or_else(|| format!("{text} is not quoted"))?)
}

fn deed(rest: &str, item: &Item) -> Result<Deed, String> {
    Ok(match rest {
        "connects raw" => Deed::Reach(Stage::Raw),
        "opens a stream" => Deed::Reach(Stage::Stream),
        "connects tls" => Deed::Reach(Stage::Tls),
        "authenticates" => Deed::Reach(Stage::Authenticated),
        "binds" => Deed::Reach(Stage::Bound),
        "connects" => Deed::Reach(Stage::Session),
        "authenticates:" => Deed::Authenticate(auth(item, false)?),
        "authenticates by SASL2:" => Deed::Authenticate(auth(item, true)?),
        "sends:" => Deed::Send(checked_send(item)?),
        "sends raw:" => Deed::SendRaw(Template::parse(&item.body())?),
        "sends binary:" => Deed::SendBinary(Template::parse(&item.body())?),
        "receives:" => Deed::Receive(patterns(item)?),
        "receives one of:" => Deed::ReceiveOneOf(patterns(item)?),
        "receives stream header:" => Deed::ReceiveHeader(Box::new(header_pattern(item)?)),
        "receives nothing" => Deed::ReceiveNothing,
        "receives end of stream" => Deed::EndOfStream,
        "is disconnected" => Deed::IsDisconnected,
        "was offered:" => Deed::Offered(patterns(item)?),
        "was not offered:" => Deed::NotOffered(patterns(item)?),
        "ignores:" => Deed::Ignore(patterns(item)?),
        "ignores presence" => Deed::Ignore(any_presence()?),
        "settles" => Deed::Settle,
        "starts TLS" => Deed::StartTls,
        "resumes" => Deed::Resume,
        "closes the stream" => Deed::CloseStream,
        "disconnects" => Deed::Disconnect,
        "drops the connection" => Deed::Drop,
        _ => match rest.strip_prefix("receives stream error:") {
            Some(condition) => Deed::StreamError(condition.trim().to_owned()),
            None => return Err(format!("unknown step {rest:?}")),
        },
    })
}

fn any_presence() -> Result<Vec<Element>, String> {
    parse_fragment("<presence from='{any}' to='{?}' id='{?}' type='{?}'>{*}</presence>")
}

fn patterns(item: &Item) -> Result<Vec<Element>, String> {
    let parsed = parse_fragment(&item.body())?;
    if parsed.is_empty() {
        return Err("an empty block".to_owned());
    }
    parsed.iter().try_for_each(check_templates)?;
    Ok(parsed.into_iter().map(expand).collect())
}

/// `<scn:error type='cancel' is='item-not-found'/>` stands for a whole stanza error.
fn expand(mut element: Element) -> Element {
    element.nodes = element
        .nodes
        .into_iter()
        .map(|n| match n {
            Node::Element(e) => Node::Element(expand(e)),
            Node::Text(t) => Node::Text(t),
        })
        .collect();
    if !element.is(NS_SCN, "error") {
        return element;
    }
    let condition = Element {
        ns: NS_STANZA_ERRORS.to_owned(),
        name: element.attr("is").unwrap_or_default().to_owned(),
        ..Element::default()
    };
    element.nodes.push(Node::Element(condition));
    element.attrs.retain(|a| a.name != "is");
    NS_CLIENT.clone_into(&mut element.ns);
    element
}

fn check_templates(element: &Element) -> Result<(), String> {
    for a in &element.attrs {
        Template::parse(&a.value)?;
    }
    Template::parse(&element.text())?;
    element.children().try_for_each(check_templates)
}

/// A start tag alone is not an element yet, so the pattern is written as an empty one.
fn header_pattern(item: &Item) -> Result<Element, String> {
    match patterns(item)?.as_slice() {
        [one] => Ok(one.clone()),
        _ => Err("one element, such as <stream:stream …/>".to_owned()),
    }
}

/// What is sent by `sends:` must be well-formed; faults are sent by `sends raw:`.
fn checked_send(item: &Item) -> Result<Template, String> {
    let body = item.body();
    parse_fragment(&body)?;
    Template::parse(&body)
}

fn auth(item: &Item, sasl2: bool) -> Result<AuthStep, String> {
    let mut step = AuthStep { sasl2, ..AuthStep::default() };
    for option in item.items() {
        if option.text() == "inline:" {
            step.inline = Some(checked_send(&option)?);
            continue;
        }
        let (key, value) = key_value(option.text())?;
        if !AUTH_KEYS.contains(&key) {
            return Err(format!("unknown key {key:?}"));
        }
        step.keys.push((key.to_owned(), Template::parse(value)?));
    }
    Ok(step)
}

/// `gs2`, `nonce`, `proof`, `binding`: what to write instead of the right value.
const AUTH_KEYS: [&str; 8] =
    ["mechanism", "user", "password", "authzid", "gs2", "nonce", "proof", "binding"];

fn http(request: &str, item: &Item) -> Result<HttpStep, String> {
    let (method, url) = request.split_once(' ').ok_or("http: GET URL")?;
    let mut step = HttpStep {
        method: method.to_owned(),
        url: Template::parse(url.trim())?,
        headers: Vec::new(),
        body: None,
        status: None,
        expect_headers: Vec::new(),
        expect_body: None,
        expect_xml: None,
        expect_json: Vec::new(),
    };
    for option in item.items() {
        http_option(&mut step, &option)?;
    }
    Ok(step)
}

fn http_option(step: &mut HttpStep, option: &Item) -> Result<(), String> {
    let (key, value) = key_value(option.text())?;
    let value = if option.block.is_empty() { value.to_owned() } else { option.body() };
    if let Some(name) = key.strip_prefix("header ") {
        step.headers.push((name.to_owned(), Template::parse(&value)?));
    } else if let Some(name) = key.strip_prefix("expect header ") {
        step.expect_headers.push((name.to_lowercase(), Template::parse(&value)?));
    } else if let Some(pointer) = key.strip_prefix("expect json ") {
        step.expect_json.push((pointer.to_owned(), Template::parse(&value)?));
    } else {
        match key {
            "body" => step.body = Some(Template::parse(&value)?),
            "expect status" => step.status = Some(Template::parse(&value)?),
            "expect body" => step.expect_body = Some(Template::parse(&value)?),
            "expect xml" => step.expect_xml = Some(Box::new(header_pattern(option)?)),
            _ => return Err(format!("unknown http key {key:?}")),
        }
    }
    Ok(())
}
