//! Message archives (XEP-0313), their preferences (XEP-0441) and full text search (XEP-0431).

#[cfg(test)]
mod tests;

use compact_str::ToCompactString;

use super::{
    PayloadError,
    data_form::{DataForm, Field, FormKind},
    datetime::Timestamp,
    dom::{Build, expect, flag, owned, required},
    forward::Forwarded,
    rsm::{PageRequest, PageResult},
};
use crate::{jid::Jid, ns, xml::Element};

/// XEP-0431 in the Clark notation of XEP-0068.
const TEXT_FIELD: &str = "{urn:xmpp:fulltext:0}fulltext";

/// Which messages are wanted; all absent is the whole archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// A bare address stands for all its resources.
    pub with: Option<Jid>,
    /// Inclusive.
    pub start: Option<Timestamp>,
    /// Inclusive.
    pub end: Option<Timestamp>,
    /// Exclusive; an id that the archive does not hold is an error.
    pub after_id: Option<String>,
    /// Exclusive; an id that the archive does not hold is an error.
    pub before_id: Option<String>,
    /// Exactly these messages; each must be in the archive.
    pub ids: Vec<String>,
    pub include_groupchat: Option<bool>,
    pub text: Option<String>,
}

impl Filter {
    fn parse(form: &DataForm) -> Result<Self, PayloadError> {
        if form.form_type().is_some_and(|t| t != ns::MAM) {
            return Err(PayloadError::Invalid("FORM_TYPE"));
        }
        for var in form.fields.iter().filter_map(|f| f.var.as_deref()) {
            match var {
                "FORM_TYPE" | "with" | "start" | "end" | "after-id" | "before-id" | "ids"
                | "include-groupchat" | TEXT_FIELD => {}
                // §4.1.5: a filter that is not applied would answer another question.
                unknown => return Err(PayloadError::Unsupported(unknown.to_owned())),
            }
        }
        Ok(Self {
            with: form.value("with").map(str::parse).transpose()?,
            start: form.parsed("start")?,
            end: form.parsed("end")?,
            after_id: form.value("after-id").map(str::to_owned),
            before_id: form.value("before-id").map(str::to_owned),
            ids: form.values("ids").to_vec(),
            include_groupchat: form.boolean("include-groupchat")?,
            text: form.value(TEXT_FIELD).map(str::to_owned),
        })
    }

    fn to_form(&self) -> DataForm {
        let mut form = DataForm::typed(FormKind::Submit, ns::MAM);
        let single = [
            ("with", self.with.as_ref().map(Jid::to_string)),
            ("start", self.start.map(|t| t.to_string())),
            ("end", self.end.map(|t| t.to_string())),
            ("after-id", self.after_id.clone()),
            ("before-id", self.before_id.clone()),
            ("include-groupchat", self.include_groupchat.map(|b| b.to_string())),
            (TEXT_FIELD, self.text.clone()),
        ];
        for (var, value) in single {
            form.fields.extend(value.map(|value| Field::untyped(var).with_value(value)));
        }
        if !self.ids.is_empty() {
            form.fields.push(Field::untyped("ids").with_values(self.ids.iter().cloned()));
        }
        form
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MamQuery {
    pub query_id: Option<String>,
    /// A pubsub node (XEP-0442).
    pub node: Option<String>,
    pub filter: Filter,
    pub page: PageRequest,
    /// Send the page newest first.
    pub flip_page: bool,
}

impl MamQuery {
    pub fn parse(query: &Element) -> Result<Self, PayloadError> {
        expect(query, "query", ns::MAM)?;
        let form = DataForm::within(query)?;
        Ok(Self {
            query_id: owned(query, "queryid"),
            node: owned(query, "node"),
            filter: form.as_ref().map(Filter::parse).transpose()?.unwrap_or_default(),
            page: PageRequest::within(query)?,
            flip_page: query.child("flip-page", ns::MAM).is_some(),
        })
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        Element::new("query", ns::MAM)
            .with_attr_opt("queryid", self.query_id.as_deref())
            .with_attr_opt("node", self.node.as_deref())
            .with_child(self.filter.to_form().to_element())
            .with_child(self.page.to_element())
            .empty_child("flip-page", ns::MAM, self.flip_page)
    }

    /// The answer to a request for the fields that a query may have (§4.1.5).
    #[must_use]
    pub fn fields() -> Element {
        let form = DataForm::typed(FormKind::Form, ns::MAM)
            .with(Field::jid_single("with", "Correspondent"))
            .with(Field::text_single("start", "Not before"))
            .with(Field::text_single("end", "Not after"))
            .with(Field::text_single("before-id", "Before this message"))
            .with(Field::text_single("after-id", "After this message"))
            .with(Field::list_multi("ids", "These messages").open())
            .with(Field::boolean("include-groupchat", "With group chat"))
            .with(Field::text_single(TEXT_FIELD, "Words in the text"));
        Element::new("query", ns::MAM).with_child(form.to_element())
    }
}

/// One archived message on its way to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MamResult {
    pub query_id: Option<String>,
    pub id: String,
    pub forwarded: Forwarded,
}

impl MamResult {
    pub fn parse(result: &Element) -> Result<Self, PayloadError> {
        expect(result, "result", ns::MAM)?;
        let forwarded =
            result.child("forwarded", ns::FORWARD).ok_or(PayloadError::Missing("forwarded"))?;
        Ok(Self {
            query_id: owned(result, "queryid"),
            id: required(result, "id")?.to_owned(),
            forwarded: Forwarded::parse(forwarded)?,
        })
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        Element::new("result", ns::MAM)
            .with_attr_opt("queryid", self.query_id.as_deref())
            .with_attr("id", self.id.as_str())
            .with_child(self.forwarded.to_element())
    }
}

/// The end of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MamFin {
    /// Nothing is left beyond this page.
    pub complete: bool,
    /// False when a repeated query may find something else.
    pub stable: bool,
    pub page: PageResult,
}

impl MamFin {
    pub fn parse(fin: &Element) -> Result<Self, PayloadError> {
        expect(fin, "fin", ns::MAM)?;
        let set = fin.child("set", ns::RSM);
        Ok(Self {
            complete: flag(fin, "complete")?,
            stable: fin.attr("stable").is_none() || flag(fin, "stable")?,
            page: set.map(PageResult::parse).transpose()?.unwrap_or_default(),
        })
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        Element::new("fin", ns::MAM)
            .flag("complete", self.complete)
            .with_attr_opt("stable", (!self.stable).then_some("false"))
            .with_child(self.page.to_element())
    }
}

/// Id and time of the first or last message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MamEdge {
    pub id: String,
    pub timestamp: Timestamp,
}

/// What an archive holds; absent for an empty one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MamMetadata {
    pub edges: Option<(MamEdge, MamEdge)>,
}

impl MamMetadata {
    pub fn parse(metadata: &Element) -> Result<Self, PayloadError> {
        expect(metadata, "metadata", ns::MAM)?;
        let edge = |name| {
            metadata
                .child(name, ns::MAM)
                .map(|edge| {
                    Ok::<_, PayloadError>(MamEdge {
                        id: required(edge, "id")?.to_owned(),
                        timestamp: required(edge, "timestamp")?.parse()?,
                    })
                })
                .transpose()
        };
        Ok(Self { edges: edge("start")?.zip(edge("end")?) })
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        let edge = |name: &str, edge: &MamEdge| {
            Element::new(name, ns::MAM)
                .with_attr("id", edge.id.as_str())
                .with_attr("timestamp", edge.timestamp.to_compact_string())
        };
        let edges =
            self.edges.iter().flat_map(|(start, end)| [edge("start", start), edge("end", end)]);
        Element::new("metadata", ns::MAM).with_children(edges)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveDefault {
    Always,
    Never,
    Roster,
}

impl ArchiveDefault {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Never => "never",
            Self::Roster => "roster",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "always" => Some(Self::Always),
            "never" => Some(Self::Never),
            "roster" => Some(Self::Roster),
            _ => None,
        }
    }
}

/// Whose messages are kept (XEP-0441).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MamPrefs {
    /// For addresses in neither list.
    pub default: ArchiveDefault,
    pub always: Vec<Jid>,
    pub never: Vec<Jid>,
}

impl MamPrefs {
    pub fn parse(prefs: &Element) -> Result<Self, PayloadError> {
        expect(prefs, "prefs", ns::MAM)?;
        let list = |name| {
            prefs
                .child(name, ns::MAM)
                .into_iter()
                .flat_map(Element::children)
                .filter(|c| c.is("jid", ns::MAM))
                .map(|c| Ok(c.text().trim().parse()?))
                .collect::<Result<_, PayloadError>>()
        };
        Ok(Self {
            default: ArchiveDefault::from_name(required(prefs, "default")?)
                .ok_or(PayloadError::Invalid("default"))?,
            always: list("always")?,
            never: list("never")?,
        })
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        let list = |name: &str, jids: &[Jid]| {
            let jids = jids.iter().map(|jid| Element::new("jid", ns::MAM).with_text(jid.as_str()));
            Element::new(name, ns::MAM).with_children(jids)
        };
        Element::new("prefs", ns::MAM)
            .with_attr("default", self.default.as_str())
            .with_child(list("always", &self.always))
            .with_child(list("never", &self.never))
    }
}
