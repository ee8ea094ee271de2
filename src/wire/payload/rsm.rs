//! Result set management (XEP-0059).

use compact_str::ToCompactString;

use super::{
    PayloadError,
    dom::{Build, child_text, expect, parsed, text_of},
};
use crate::{ns, xml::Element};

/// Which page is wanted: up to `max` items between the exclusive bounds `after` and
/// `before`, from the far end if `backwards`. All absent is the first page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// Zero asks for the count alone (§2.7); absent leaves it to the server.
    pub max: Option<u32>,
    pub after: Option<String>,
    pub before: Option<String>,
    /// `<before/>`, with or without an item (§2.3 and §2.5): the page ends at the bound.
    pub backwards: bool,
    /// Start at this item, counted from zero (§2.6).
    pub index: Option<u32>,
}

impl PageRequest {
    pub fn parse(set: &Element) -> Result<Self, PayloadError> {
        expect(set, "set", ns::RSM)?;
        let id = |name| child_text(set, name, ns::RSM).filter(|id| !id.is_empty());
        Ok(Self {
            max: number(set, "max")?,
            after: id("after"),
            before: id("before"),
            backwards: set.child("before", ns::RSM).is_some(),
            index: number(set, "index")?,
        })
    }

    /// The request in a query, or the default one.
    pub fn within(query: &Element) -> Result<Self, PayloadError> {
        query.child("set", ns::RSM).map_or_else(|| Ok(Self::default()), Self::parse)
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        let text = |n: Option<u32>| n.map(|n| n.to_string());
        let before = self.backwards.then(|| self.before.as_deref().unwrap_or_default());
        Element::new("set", ns::RSM)
            .text_child("max", ns::RSM, text(self.max).as_deref())
            .text_child("after", ns::RSM, self.after.as_deref())
            .text_child("before", ns::RSM, before)
            .text_child("index", ns::RSM, text(self.index).as_deref())
    }
}

fn number(set: &Element, name: &'static str) -> Result<Option<u32>, PayloadError> {
    child_text(set, name, ns::RSM)
        .filter(|text| !text.trim().is_empty())
        .map(|text| text.trim().parse().map_err(|_| PayloadError::Invalid(name)))
        .transpose()
}

/// What a page holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageResult {
    /// Ids of the first and last item; absent for an empty page.
    pub bounds: Option<PageBounds>,
    /// Items in the whole set.
    pub count: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageBounds {
    pub first: String,
    /// Position of the first item in the whole set, from zero.
    pub index: Option<u32>,
    pub last: String,
}

impl PageResult {
    pub fn parse(set: &Element) -> Result<Self, PayloadError> {
        expect(set, "set", ns::RSM)?;
        let bounds = match (set.child("first", ns::RSM), child_text(set, "last", ns::RSM)) {
            (Some(first), Some(last)) => {
                Some(PageBounds { first: text_of(first), index: parsed(first, "index")?, last })
            }
            (None, None) => None,
            (Some(_), None) => return Err(PayloadError::Missing("last")),
            (None, Some(_)) => return Err(PayloadError::Missing("first")),
        };
        Ok(Self { bounds, count: number(set, "count")? })
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        let bounds = self.bounds.as_ref();
        let first = bounds.map(|b| {
            Element::new("first", ns::RSM)
                .with_attr_opt("index", b.index.map(|n| n.to_compact_string()))
                .with_text(b.first.as_str())
        });
        let count = self.count.map(|n| n.to_string());
        Element::new("set", ns::RSM)
            .with_children(first)
            .text_child("last", ns::RSM, bounds.map(|b| b.last.as_str()))
            .text_child("count", ns::RSM, count.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::dom::el;

    fn request(children: &str) -> Result<PageRequest, PayloadError> {
        PageRequest::parse(&el(&format!(
            "<set xmlns='http://jabber.org/protocol/rsm'>{children}</set>"
        )))
    }

    #[test]
    fn requests() {
        let default = PageRequest::default();
        let cases = [
            ("", default.clone()),
            ("<max>10</max>", PageRequest { max: Some(10), ..default.clone() }),
            ("<max> 0 </max><x/>", PageRequest { max: Some(0), ..default.clone() }),
            ("<after>a</after>", PageRequest { after: Some("a".into()), ..default.clone() }),
            ("<before/>", PageRequest { backwards: true, ..default.clone() }),
            (
                "<after>a</after><before>b</before>",
                PageRequest {
                    after: Some("a".into()),
                    before: Some("b".into()),
                    backwards: true,
                    ..default.clone()
                },
            ),
            ("<index>371</index>", PageRequest { index: Some(371), ..default }),
        ];
        for (children, expected) in cases {
            let read = request(children).unwrap();
            assert_eq!(read, expected, "{children}");
            assert_eq!(PageRequest::parse(&read.to_element()).unwrap(), read);
        }
        assert_eq!(request("<max>-1</max>"), Err(PayloadError::Invalid("max")));
        assert_eq!(request("<index>x</index>"), Err(PayloadError::Invalid("index")));
        assert!(PageRequest::parse(&el("<set xmlns='other'/>")).is_err());
    }

    #[test]
    fn within_a_query() {
        let none = PageRequest::within(&el("<query xmlns='urn:xmpp:mam:2'/>"));
        assert_eq!(none, Ok(PageRequest::default()));
        let some = el(
            "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>5</max></set></query>",
        );
        assert_eq!(PageRequest::within(&some).unwrap().max, Some(5));
    }

    #[test]
    fn results() {
        let element = el("<set xmlns='http://jabber.org/protocol/rsm'>\
             <first index='0'>stpeter@jabber.org</first><last>peterpan@neverland.lit</last>\
             <count>800</count></set>");
        let page = PageResult::parse(&element).unwrap();
        assert_eq!(page.bounds.as_ref().unwrap().index, Some(0));
        assert_eq!(page.to_element(), element);
        let count = PageResult { count: Some(800), ..PageResult::default() };
        assert_eq!(PageResult::parse(&count.to_element()), Ok(count));
        let half = el("<set xmlns='http://jabber.org/protocol/rsm'><first>a</first></set>");
        assert_eq!(PageResult::parse(&half), Err(PayloadError::Missing("last")));
    }
}
