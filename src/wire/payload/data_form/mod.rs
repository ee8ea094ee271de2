//! Data forms (XEP-0004) with their FORM_TYPE (XEP-0068).

mod field;
#[cfg(test)]
mod tests;

use std::str::FromStr;

pub use self::field::{Field, FieldKind, FieldOption};
use super::{
    PayloadError,
    dom::{Build, boolean, child_text, expect, required, text_of},
};
use crate::{jid::Jid, ns, xml::Element};

const FORM_TYPE: &str = "FORM_TYPE";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormKind {
    Form,
    Submit,
    Cancel,
    Result,
}

impl FormKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Submit => "submit",
            Self::Cancel => "cancel",
            Self::Result => "result",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataForm {
    pub kind: FormKind,
    pub title: Option<String>,
    pub instructions: Vec<String>,
    pub fields: Vec<Field>,
    /// The header of a table of results.
    pub reported: Vec<Field>,
    /// The rows of a table of results.
    pub items: Vec<Vec<Field>>,
}

impl DataForm {
    #[must_use]
    pub const fn new(kind: FormKind) -> Self {
        Self {
            kind,
            title: None,
            instructions: Vec::new(),
            fields: Vec::new(),
            reported: Vec::new(),
            items: Vec::new(),
        }
    }

    /// A form of this type; what a form is about is its FORM_TYPE.
    #[must_use]
    pub fn typed(kind: FormKind, form_type: &str) -> Self {
        Self::new(kind).with(Field::hidden(FORM_TYPE, form_type))
    }

    #[must_use]
    pub fn with(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }

    #[must_use]
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    #[must_use]
    pub fn with_instructions(mut self, line: impl Into<String>) -> Self {
        self.instructions.push(line.into());
        self
    }

    pub fn parse(x: &Element) -> Result<Self, PayloadError> {
        expect(x, "x", ns::DATA_FORM)?;
        let kind = match required(x, "type")? {
            "form" => FormKind::Form,
            "submit" => FormKind::Submit,
            "cancel" => FormKind::Cancel,
            "result" => FormKind::Result,
            _ => return Err(PayloadError::Invalid("type")),
        };
        let mut form = Self::new(kind);
        form.title = child_text(x, "title", ns::DATA_FORM);
        for child in x.children().filter(|c| c.ns() == ns::DATA_FORM) {
            match child.name() {
                "instructions" => form.instructions.push(text_of(child)),
                "field" => form.fields.push(Field::parse(child)?),
                "reported" => form.reported = fields_of(child)?,
                "item" => form.items.push(fields_of(child)?),
                _ => {}
            }
        }
        Ok(form)
    }

    /// The form inside another payload, if there is one.
    pub fn within(parent: &Element) -> Result<Option<Self>, PayloadError> {
        parent.child("x", ns::DATA_FORM).map(Self::parse).transpose()
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        let list = |fields: &[Field]| fields.iter().map(Field::to_element).collect::<Vec<_>>();
        let instructions = self
            .instructions
            .iter()
            .map(|line| Element::new("instructions", ns::DATA_FORM).with_text(line.as_str()));
        let reported = (!self.reported.is_empty())
            .then(|| Element::new("reported", ns::DATA_FORM).with_children(list(&self.reported)));
        let items = self
            .items
            .iter()
            .map(|item| Element::new("item", ns::DATA_FORM).with_children(list(item)));
        Element::new("x", ns::DATA_FORM)
            .with_attr("type", self.kind.as_str())
            .text_child("title", ns::DATA_FORM, self.title.as_deref())
            .with_children(instructions)
            .with_children(list(&self.fields))
            .with_children(reported)
            .with_children(items)
    }

    #[must_use]
    pub fn form_type(&self) -> Option<&str> {
        self.value(FORM_TYPE)
    }

    #[must_use]
    pub fn field(&self, var: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.var.as_deref() == Some(var))
    }

    /// The first value; an empty one counts as absent (§3.6 leaves that open).
    #[must_use]
    pub fn value(&self, var: &str) -> Option<&str> {
        self.values(var).first().map(String::as_str).filter(|v| !v.is_empty())
    }

    #[must_use]
    pub fn values(&self, var: &str) -> &[String] {
        self.field(var).map_or(&[], |f| &f.values)
    }

    /// All lines of a text-multi field; present but empty means that the text is to be removed.
    #[must_use]
    pub fn lines(&self, var: &str) -> Option<String> {
        self.field(var).map(|f| f.values.join("\n"))
    }

    pub fn boolean(&self, var: &'static str) -> Result<Option<bool>, PayloadError> {
        self.value(var).map(|v| boolean(v).ok_or(PayloadError::Invalid(var))).transpose()
    }

    /// An address, a number, a time: whatever has one text form.
    pub fn parsed<T: FromStr>(&self, var: &'static str) -> Result<Option<T>, PayloadError> {
        self.value(var)
            .map(|v| v.trim().parse().map_err(|_| PayloadError::Invalid(var)))
            .transpose()
    }

    /// The addresses of a jid-multi field, without duplicates.
    pub fn jids(&self, var: &'static str) -> Result<Vec<Jid>, PayloadError> {
        let mut jids = Vec::new();
        for value in self.values(var).iter().filter(|v| !v.trim().is_empty()) {
            let jid = value.trim().parse::<Jid>().map_err(|_| PayloadError::Invalid(var))?;
            if !jids.contains(&jid) {
                jids.push(jid);
            }
        }
        Ok(jids)
    }

    /// Holds a submission against this form: what is required is there, and every field
    /// that this form knows has values that its type and options allow. The error is the
    /// name of the first field that is wrong. Unknown fields are ignored (§3.1).
    pub fn check(&self, submission: &Self) -> Result<(), String> {
        for asked in &self.fields {
            let Some(var) = asked.var.as_deref() else {
                continue;
            };
            let values = submission.values(var);
            let missing = asked.required && values.iter().all(String::is_empty);
            if missing || !asked.allows(values) {
                return Err(var.to_owned());
            }
        }
        Ok(())
    }
}

fn fields_of(parent: &Element) -> Result<Vec<Field>, PayloadError> {
    parent.children().filter(|c| c.is("field", ns::DATA_FORM)).map(Field::parse).collect()
}
