//! The blocking command (XEP-0191) and the reports that come with it (XEP-0377).

use super::{
    PayloadError,
    dom::{Build, jid, required, text_of},
    stanza_id::StanzaId,
};
use crate::{error::StanzaError, jid::Jid, ns, xml::Element};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blocking {
    /// The request for the list, empty, or the answer.
    List(Vec<Jid>),
    Block(Vec<BlockItem>),
    /// None of them means everybody.
    Unblock(Vec<Jid>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockItem {
    pub jid: Jid,
    pub report: Option<Report>,
}

impl Blocking {
    pub fn parse(element: &Element) -> Result<Self, PayloadError> {
        if element.ns() != ns::BLOCKING {
            return Err(PayloadError::Unexpected("block"));
        }
        let items = || element.children().filter(|c| c.is("item", ns::BLOCKING));
        let jids = || items().map(|item| jid(item, "jid")).collect::<Result<Vec<_>, _>>();
        match element.name() {
            "blocklist" => Ok(Self::List(jids()?)),
            "unblock" => Ok(Self::Unblock(jids()?)),
            "block" if items().next().is_none() => Err(PayloadError::Missing("item")),
            "block" => Ok(Self::Block(items().map(BlockItem::parse).collect::<Result<_, _>>()?)),
            _ => Err(PayloadError::Unexpected("block")),
        }
    }

    /// The answer or the push; a push repeats no reports.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let (name, jids): (_, Vec<&Jid>) = match self {
            Self::List(jids) => ("blocklist", jids.iter().collect()),
            Self::Block(items) => ("block", items.iter().map(|item| &item.jid).collect()),
            Self::Unblock(jids) => ("unblock", jids.iter().collect()),
        };
        let items = jids
            .into_iter()
            .map(|jid| Element::new("item", ns::BLOCKING).with_attr("jid", jid.as_str()));
        Element::new(name, ns::BLOCKING).with_children(items)
    }
}

impl BlockItem {
    fn parse(item: &Element) -> Result<Self, PayloadError> {
        let report = item.child("report", ns::REPORTING);
        Ok(Self { jid: jid(item, "jid")?, report: report.map(Report::parse).transpose()? })
    }
}

/// What a user gets who writes to somebody they block (XEP-0191 §3.3).
#[must_use]
pub fn blocked_by_yourself() -> StanzaError {
    StanzaError::not_acceptable("you have blocked this address")
        .with_type(crate::error::ErrorType::Cancel)
        .with_application(Element::new("blocked", ns::BLOCKING_ERRORS))
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    Spam,
    Abuse,
    /// A URN from another specification.
    Other(String),
}

impl Reason {
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Spam => ns::REPORTING_SPAM,
            Self::Abuse => ns::REPORTING_ABUSE,
            Self::Other(urn) => urn,
        }
    }
}

impl From<&str> for Reason {
    fn from(urn: &str) -> Self {
        match urn {
            ns::REPORTING_SPAM => Self::Spam,
            ns::REPORTING_ABUSE => Self::Abuse,
            other => Self::Other(other.to_owned()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub reason: Reason,
    /// Language, if named, and text.
    pub texts: Vec<(Option<String>, String)>,
    /// The messages that the report is about.
    pub messages: Vec<StanzaId>,
    /// The user agrees that the server of the reported address is told.
    pub report_origin: bool,
    /// The user agrees that third parties are told.
    pub third_party: bool,
}

impl Report {
    pub fn parse(report: &Element) -> Result<Self, PayloadError> {
        super::dom::expect(report, "report", ns::REPORTING)?;
        let children =
            |name, namespace| report.children().filter(move |c: &&Element| c.is(name, namespace));
        Ok(Self {
            reason: required(report, "reason")?.into(),
            texts: children("text", ns::REPORTING)
                .map(|text| (text.lang().map(str::to_owned), text_of(text)))
                .collect(),
            messages: children("stanza-id", ns::STANZA_ID)
                .map(StanzaId::parse)
                .collect::<Result<_, _>>()?,
            report_origin: report.child("report-origin", ns::REPORTING).is_some(),
            third_party: report.child("third-party", ns::REPORTING).is_some(),
        })
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        let texts = self.texts.iter().map(|(lang, text)| {
            let element = Element::new("text", ns::REPORTING).with_text(text.as_str());
            match lang {
                Some(lang) => element.with_lang(lang),
                None => element,
            }
        });
        Element::new("report", ns::REPORTING)
            .with_attr("reason", self.reason.as_str())
            .with_children(self.messages.iter().map(StanzaId::to_element))
            .with_children(texts)
            .empty_child("report-origin", ns::REPORTING, self.report_origin)
            .empty_child("third-party", ns::REPORTING, self.third_party)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::Condition, payload::dom::el};

    fn parse(name: &str, children: &str) -> Result<Blocking, PayloadError> {
        Blocking::parse(&el(&format!(
            "<{name} xmlns='urn:xmpp:blocking' x='y'>{children}</{name}>"
        )))
    }

    #[test]
    fn commands() {
        let romeo = || "romeo@montague.net".parse::<Jid>().unwrap();
        let item = "<z/><item jid='Romeo@montague.net' x='y'><z/></item>";
        assert_eq!(parse("blocklist", ""), Ok(Blocking::List(vec![])));
        assert_eq!(parse("unblock", ""), Ok(Blocking::Unblock(vec![])));
        assert_eq!(parse("unblock", item), Ok(Blocking::Unblock(vec![romeo()])));
        let block = parse("block", item).unwrap();
        let expected = BlockItem { jid: romeo(), report: None };
        assert_eq!(block, Blocking::Block(vec![expected]));
        let written =
            el("<block xmlns='urn:xmpp:blocking'><item jid='romeo@montague.net'/></block>");
        assert_eq!(block.to_element(), written);
        assert_eq!(
            Blocking::List(vec![romeo()]).to_element(),
            el("<blocklist xmlns='urn:xmpp:blocking'><item jid='romeo@montague.net'/></blocklist>")
        );
    }

    #[test]
    fn refused() {
        assert_eq!(parse("block", "<x/>"), Err(PayloadError::Missing("item")));
        assert_eq!(parse("block", "<item/>"), Err(PayloadError::Missing("jid")));
        assert!(parse("block", "<item jid='@'/>").is_err());
        assert!(parse("lock", "<item jid='a@b'/>").is_err());
        assert!(Blocking::parse(&el("<block xmlns='other'/>")).is_err());
    }

    #[test]
    fn report() {
        let report = "<report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'>\
             <stanza-id xmlns='urn:xmpp:sid:0' by='romeo@example.net' id='28482-98726-73623'/>\
             <text xml:lang='en'>Never came trouble to my house like this.</text>\
             <report-origin/><third-party/></report>";
        let read = Report::parse(&el(report)).unwrap();
        assert_eq!(read.reason, Reason::Spam);
        assert_eq!(read.to_element(), el(report));
        let item = format!("<item jid='romeo@example.net'>{report}</item>");
        let Ok(Blocking::Block(items)) = parse("block", &item) else {
            panic!("a block");
        };
        assert_eq!(items[0].report, Some(read));
        assert!(
            parse("block", "<item jid='a'><report xmlns='urn:xmpp:reporting:1'/></item>").is_err()
        );
    }

    #[test]
    fn error_of_the_blocker() {
        let error = blocked_by_yourself();
        assert_eq!(error.condition, Condition::NotAcceptable);
        let expected = el("<blocked xmlns='urn:xmpp:blocking:errors'/>");
        assert_eq!(error.application.as_deref(), Some(&expected));
    }
}
