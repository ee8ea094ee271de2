//! Reports of spam and abuse that come with a block (XEP-0377).

use std::sync::Arc;

use wello_kernel::Kernel;
use wello_store::Report as Row;
use wello_wire::jid::{BareJid, Jid};
use wello_wire::payload::blocking::Report;

use super::forward::forward;

/// Characters of all texts together, and messages named; the rest of a report is cut off.
const MAX_TEXT: usize = 4000;
const MAX_MESSAGES: usize = 100;

/// Section 6: a report that cannot be stored does not keep the block from happening.
pub(super) async fn handle(
    kernel: &Arc<Kernel>,
    reporter: &BareJid,
    reported: &Jid,
    sent: &Report,
) {
    let report = cut(sent.clone());
    let row = Row { time: kernel.clock.now(), ..row(reporter, reported, &report) };
    match kernel.store.reports.append(&row).await {
        Ok(id) => tracing::info!(report = id.0, reason = row.reason, "report received"),
        Err(error) => tracing::error!(%error, "report not stored"),
    }
    forward(kernel, reporter, reported, &report).await;
}

fn row(reporter: &BareJid, reported: &Jid, report: &Report) -> Row {
    let text = report.texts.iter().map(|(_, text)| text.trim()).find(|text| !text.is_empty());
    Row {
        reporter: reporter.to_string(),
        reported: reported.to_string(),
        reason: report.reason.as_str().to_owned(),
        text: text.map(str::to_owned),
        evidence: report.to_element().to_string().into(),
        time: wello_store::Timestamp::default(),
    }
}

fn cut(mut report: Report) -> Report {
    report.messages.truncate(MAX_MESSAGES);
    let mut room = MAX_TEXT;
    for (_, text) in &mut report.texts {
        *text = text.chars().take(room).collect();
        room -= text.chars().count();
    }
    report.texts.retain(|(_, text)| !text.is_empty());
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(children: &str) -> Row {
        let xml = format!(
            "<report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'>{children}</report>"
        );
        let report = Report::parse(&xml.parse().unwrap()).unwrap();
        let reporter = "a@b".parse::<Jid>().unwrap().bare();
        row(&reporter, &"evil@c/d".parse().unwrap(), &cut(report))
    }

    #[test]
    fn a_row_has_the_reason_the_text_and_the_messages() {
        let row = report("<stanza-id xmlns='urn:xmpp:sid:0' by='a@b' id='1'/><text> Buy! </text>");
        assert_eq!((row.reporter.as_str(), row.reported.as_str()), ("a@b", "evil@c/d"));
        assert_eq!(row.reason, "urn:xmpp:reporting:spam");
        assert_eq!(row.text.as_deref(), Some("Buy!"));
        assert!(std::str::from_utf8(&row.evidence).unwrap().contains("id='1'"));
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let text = format!("<text>{}</text>", "ä".repeat(3000));
        let row = report(&text.repeat(2));
        assert_eq!(String::from_utf8_lossy(&row.evidence).matches('ä').count(), MAX_TEXT);
    }
}
