//! Passes reports on (XEP-0377, section 5): to the operator's addresses, and to others as far as the
//! reporter agrees.

use std::sync::Arc;

use wello_kernel::Kernel;
use wello_store::MessageRef;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::ns;
use wello_wire::payload::blocking::Report;
use wello_wire::stanza::{MessageType, Stanza};
use wello_wire::xml::Element;

/// Messages that go along.
const MAX_MESSAGES: usize = 10;

/// Who gets a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// Belongs to this server: sees who reported.
    Operator,
    /// Sees what was reported alone.
    Outsider,
}

pub(super) async fn forward(
    kernel: &Arc<Kernel>,
    reporter: &BareJid,
    about: &Jid,
    report: &Report,
) {
    let readers = readers(kernel, about, report);
    if readers.is_empty() {
        return;
    }
    let evidence = evidence(kernel, reporter, about, report).await;
    for (to, reader) in readers {
        let message = message(reporter, about, report, reader);
        let evidence = evidence.iter().map(|message| forwarded(message, reader));
        kernel.route(message.with_to(to).with_children(evidence)).await;
    }
}

fn readers(kernel: &Kernel, about: &Jid, report: &Report) -> Vec<(Jid, Reader)> {
    let config = &kernel.config.reports;
    let is_ours = |jid: &Jid| kernel.hosts.contains(jid.domain());
    let configured = config.forward_to.iter().filter_map(|to| to.parse::<Jid>().ok());
    let mut readers: Vec<(Jid, Reader)> = configured
        .map(|to| if is_ours(&to) { (to, Reader::Operator) } else { (to, Reader::Outsider) })
        .filter(|(_, reader)| *reader == Reader::Operator || report.third_party)
        .collect();
    if config.forward_to_origin && report.report_origin && !is_ours(about) {
        readers.push((about.domain_jid().into(), Reader::Outsider));
    }
    readers
}

fn message(reporter: &BareJid, about: &Jid, report: &Report, reader: Reader) -> Stanza {
    let reason = report.reason.as_str().rsplit(':').next().unwrap_or_default();
    let mut body = format!("Report of {reason}: {about}");
    if reader == Reader::Operator {
        body += &format!(", reported by {reporter}");
    }
    for (_, text) in &report.texts {
        body += &format!("\n{}", text.trim());
    }
    // The ids of messages are those of the reporter's archive, and name it.
    let report = Report { messages: Vec::new(), ..report.clone() };
    let jid = Element::new("jid", ns::JID).with_text(about.as_str());
    Stanza::message(MessageType::Normal)
        .with_from(reporter.domain_jid())
        .with_child(Element::new("body", ns::CLIENT).with_text(body))
        .with_child(report.to_element().with_child(jid))
}

/// What the reported address has written, as the reporter's archive has it.
async fn evidence(
    kernel: &Kernel,
    reporter: &BareJid,
    about: &Jid,
    report: &Report,
) -> Vec<Element> {
    let mut evidence = Vec::new();
    let own = report.messages.iter().filter(|id| id.by.as_str() == reporter.as_str());
    for id in own.take(MAX_MESSAGES) {
        let Ok(id) = id.id.parse() else { continue };
        let found = kernel.store.archive.find(reporter.as_str(), &MessageRef::Archive(id)).await;
        let Ok(Some(found)) = found else { continue };
        let message = String::from_utf8_lossy(&found.stanza).parse::<Element>();
        // Nobody else's messages are shown under the pretext of a report.
        let is_theirs = found.from.split('/').next() == Some(about.bare_str());
        evidence.extend(message.ok().filter(|_| is_theirs && !found.retracted));
    }
    evidence
}

/// Without the reporter's address, the one way of hiding it that there is (section 5).
fn forwarded(message: &Element, reader: Reader) -> Element {
    let mut message = message.clone();
    if reader == Reader::Outsider {
        message.remove_attr("to");
    }
    Element::new("forwarded", ns::FORWARD).with_child(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let xml = "<report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'>\
            <stanza-id xmlns='urn:xmpp:sid:0' by='juliet@b' id='1'/><text> Buy! </text></report>";
        Report::parse(&xml.parse().unwrap()).unwrap()
    }

    #[test]
    fn outsiders_do_not_learn_who_reported() {
        let (juliet, about) = ("juliet@b".parse().unwrap(), "evil@c/d".parse().unwrap());
        let told = |reader| message(&juliet, &about, &report(), reader);
        let (inside, outside) = (told(Reader::Operator), told(Reader::Outsider));
        assert_eq!(inside.body().unwrap(), "Report of spam: evil@c/d, reported by juliet@b\nBuy!");
        assert_eq!(outside.body().unwrap(), "Report of spam: evil@c/d\nBuy!");
        let outside = outside.to_element().to_string();
        assert!(!outside.contains("juliet") && outside.contains("evil@c/d"), "{outside}");
        let message = "<message xmlns='jabber:client' from='evil@c/d' to='juliet@b/x'/>".parse();
        let shown = |reader| forwarded(message.as_ref().unwrap(), reader).to_string();
        assert!(shown(Reader::Operator).contains("juliet"));
        assert!(!shown(Reader::Outsider).contains("juliet"));
    }
}
