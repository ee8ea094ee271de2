use crate::{
    jid::Jid,
    ns,
    payload::{
        PayloadError,
        dom::{Build, boolean, child_text, expect, owned, required, text_of},
    },
    xml::Element,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    Boolean,
    Fixed,
    Hidden,
    JidMulti,
    JidSingle,
    ListMulti,
    ListSingle,
    TextMulti,
    TextPrivate,
    TextSingle,
}

impl FieldKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Fixed => "fixed",
            Self::Hidden => "hidden",
            Self::JidMulti => "jid-multi",
            Self::JidSingle => "jid-single",
            Self::ListMulti => "list-multi",
            Self::ListSingle => "list-single",
            Self::TextMulti => "text-multi",
            Self::TextPrivate => "text-private",
            Self::TextSingle => "text-single",
        }
    }

    /// A type that is not known counts as text-single (XEP-0004 §3.3).
    fn from_name(name: &str) -> Self {
        match name {
            "boolean" => Self::Boolean,
            "fixed" => Self::Fixed,
            "hidden" => Self::Hidden,
            "jid-multi" => Self::JidMulti,
            "jid-single" => Self::JidSingle,
            "list-multi" => Self::ListMulti,
            "list-single" => Self::ListSingle,
            "text-multi" => Self::TextMulti,
            "text-private" => Self::TextPrivate,
            _ => Self::TextSingle,
        }
    }

    /// XEP-0004 §3.2: who may have more than one value.
    const fn is_multi(self) -> bool {
        matches!(self, Self::Hidden | Self::JidMulti | Self::ListMulti | Self::TextMulti)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldOption {
    pub label: Option<String>,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Only a fixed field has no name.
    pub var: Option<String>,
    /// Submissions leave it out.
    pub kind: Option<FieldKind>,
    pub label: Option<String>,
    pub desc: Option<String>,
    pub required: bool,
    pub values: Vec<String>,
    pub options: Vec<FieldOption>,
    /// Children from other specifications, such as XEP-0122 and XEP-0221.
    pub extensions: Vec<Element>,
}

macro_rules! constructors {
    ($($function:ident = $kind:ident,)*) => {$(
        #[must_use]
        pub fn $function(var: impl Into<String>, label: impl Into<String>) -> Self {
            Self {
                label: Some(label.into()),
                ..Self::new(Some(var.into()), Some(FieldKind::$kind))
            }
        }
    )*};
}

impl Field {
    const fn new(var: Option<String>, kind: Option<FieldKind>) -> Self {
        Self {
            var,
            kind,
            label: None,
            desc: None,
            required: false,
            values: Vec::new(),
            options: Vec::new(),
            extensions: Vec::new(),
        }
    }

    constructors! {
        boolean = Boolean,
        jid_multi = JidMulti,
        jid_single = JidSingle,
        list_multi = ListMulti,
        list_single = ListSingle,
        text_multi = TextMulti,
        text_private = TextPrivate,
        text_single = TextSingle,
    }

    #[must_use]
    pub fn hidden(var: impl Into<String>, value: impl Into<String>) -> Self {
        Self::new(Some(var.into()), Some(FieldKind::Hidden)).with_value(value)
    }

    #[must_use]
    pub fn fixed(text: impl Into<String>) -> Self {
        Self::new(None, Some(FieldKind::Fixed)).with_value(text)
    }

    /// A field of a submission or result, whose type the other side knows.
    #[must_use]
    pub fn untyped(var: impl Into<String>) -> Self {
        Self::new(Some(var.into()), None)
    }

    #[must_use]
    pub fn with_value(mut self, value: impl Into<String>) -> Self {
        self.values.push(value.into());
        self
    }

    #[must_use]
    pub fn with_values<T: Into<String>>(mut self, values: impl IntoIterator<Item = T>) -> Self {
        self.values.extend(values.into_iter().map(Into::into));
        self
    }

    #[must_use]
    pub fn with_boolean(self, value: bool) -> Self {
        self.with_value(if value { "1" } else { "0" })
    }

    #[must_use]
    pub fn with_option(mut self, label: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.push(FieldOption { label: Some(label.into()), value: value.into() });
        self
    }

    #[must_use]
    pub fn with_desc(mut self, desc: impl Into<String>) -> Self {
        self.desc = Some(desc.into());
        self
    }

    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// A list that takes values beyond its options (XEP-0122 §3.2.2).
    #[must_use]
    pub fn open(mut self) -> Self {
        self.extensions.push(
            Element::new("validate", ns::DATA_VALIDATE)
                .with_attr("datatype", "xs:string")
                .with_child(Element::new("open", ns::DATA_VALIDATE)),
        );
        self
    }

    pub(super) fn parse(field: &Element) -> Result<Self, PayloadError> {
        expect(field, "field", ns::DATA_FORM)?;
        let kind = field.attr("type").map(FieldKind::from_name);
        let var = match kind {
            Some(FieldKind::Fixed) => owned(field, "var"),
            _ => Some(required(field, "var")?.to_owned()),
        };
        let mut read = Self::new(var, kind);
        read.label = owned(field, "label");
        for child in field.children() {
            match child.name() {
                _ if child.ns() != ns::DATA_FORM => read.extensions.push(child.clone()),
                "desc" => read.desc = Some(text_of(child)),
                "required" => read.required = true,
                "value" => read.values.push(text_of(child)),
                "option" => read.options.push(FieldOption {
                    label: owned(child, "label"),
                    value: child_text(child, "value", ns::DATA_FORM)
                        .ok_or(PayloadError::Missing("the value of an option"))?,
                }),
                _ => {}
            }
        }
        Ok(read)
    }

    pub(super) fn to_element(&self) -> Element {
        let value = |text: &str| Element::new("value", ns::DATA_FORM).with_text(text);
        let options = self.options.iter().map(|option| {
            Element::new("option", ns::DATA_FORM)
                .with_attr_opt("label", option.label.as_deref())
                .with_child(value(&option.value))
        });
        Element::new("field", ns::DATA_FORM)
            .with_attr_opt("var", self.var.as_deref())
            .with_attr_opt("type", self.kind.map(FieldKind::as_str))
            .with_attr_opt("label", self.label.as_deref())
            .text_child("desc", ns::DATA_FORM, self.desc.as_deref())
            .empty_child("required", ns::DATA_FORM, self.required)
            .with_children(self.values.iter().map(|v| value(v)))
            .with_children(options)
            .with_children(self.extensions.iter().cloned())
    }

    /// Whether this field, as asked, takes `values`. An empty value is one not given.
    pub(super) fn allows(&self, values: &[String]) -> bool {
        let kind = self.kind.unwrap_or(FieldKind::TextSingle);
        if values.len() > 1 && !kind.is_multi() {
            return false;
        }
        let mut given = values.iter().filter(|v| !v.is_empty());
        match kind {
            FieldKind::Boolean => given.all(|v| boolean(v).is_some()),
            FieldKind::JidSingle | FieldKind::JidMulti => {
                given.all(|v| v.trim().parse::<Jid>().is_ok())
            }
            FieldKind::ListSingle | FieldKind::ListMulti if !self.is_open() => {
                given.all(|v| self.options.iter().any(|option| option.value == *v))
            }
            _ => true,
        }
    }

    fn is_open(&self) -> bool {
        self.extensions.iter().any(|e| {
            e.is("validate", ns::DATA_VALIDATE) && e.child("open", ns::DATA_VALIDATE).is_some()
        })
    }
}
