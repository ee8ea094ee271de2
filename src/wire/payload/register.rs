//! In-band registration (XEP-0077).

use super::{
    PayloadError,
    data_form::DataForm,
    dom::{Build, child_text, expect},
};
use crate::{ns, xml::Element};

/// Every field that the schema names.
const FIELDS: [&str; 17] = [
    "username", "nick", "password", "name", "first", "last", "email", "address", "city", "state",
    "zip", "phone", "url", "date", "misc", "text", "key",
];

/// The `<query/>` of requests and answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Register {
    /// In an answer: the sender has an account already.
    pub registered: bool,
    /// In a request: delete the account.
    pub remove: bool,
    pub instructions: Option<String>,
    /// Name and value; in an answer what is asked for, without values.
    pub fields: Vec<(&'static str, String)>,
    pub form: Option<DataForm>,
}

impl Register {
    pub fn parse(query: &Element) -> Result<Self, PayloadError> {
        expect(query, "query", ns::REGISTER)?;
        let fields = FIELDS
            .into_iter()
            .filter_map(|name| Some((name, child_text(query, name, ns::REGISTER)?)));
        Ok(Self {
            registered: query.child("registered", ns::REGISTER).is_some(),
            remove: query.child("remove", ns::REGISTER).is_some(),
            instructions: child_text(query, "instructions", ns::REGISTER),
            fields: fields.collect(),
            form: DataForm::within(query)?,
        })
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        let fields = self
            .fields
            .iter()
            .map(|(name, value)| Element::new(*name, ns::REGISTER).with_text(value.as_str()));
        Element::new("query", ns::REGISTER)
            .empty_child("registered", ns::REGISTER, self.registered)
            .empty_child("remove", ns::REGISTER, self.remove)
            .text_child("instructions", ns::REGISTER, self.instructions.as_deref())
            .with_children(fields)
            .with_children(self.form.as_ref().map(DataForm::to_element))
    }

    /// A value that was given, in the form if there is one (§4: it takes precedence).
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        if let Some(form) = &self.form {
            return form.value(name);
        }
        self.fields
            .iter()
            .find(|(field, _)| *field == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::dom::el;

    #[test]
    fn fields_asked_for() {
        let element = el("<query xmlns='jabber:iq:register'><registered/>\
             <instructions>Choose a username and password.</instructions>\
             <username/><password/><email/></query>");
        let read = Register::parse(&element).unwrap();
        assert!(read.registered && !read.remove);
        assert_eq!(read.fields.len(), 3);
        assert_eq!(read.value("username"), None);
        assert_eq!(read.to_element(), element);
    }

    #[test]
    fn given() {
        let element = el("<query xmlns='jabber:iq:register' x='y'><z/>\
             <username>bill</username><password>Calliope</password></query>");
        let read = Register::parse(&element).unwrap();
        assert_eq!(read.value("username"), Some("bill"));
        assert_eq!(read.value("password"), Some("Calliope"));
        assert_eq!(Register::parse(&read.to_element()), Ok(read));
        let remove = el("<query xmlns='jabber:iq:register'><remove/></query>");
        assert!(Register::parse(&remove).unwrap().remove);
    }

    #[test]
    fn the_form_counts() {
        let element = el("<query xmlns='jabber:iq:register'><username>old</username>\
             <x xmlns='jabber:x:data' type='submit'><field var='username'><value>new</value></field></x></query>");
        let read = Register::parse(&element).unwrap();
        assert_eq!(read.value("username"), Some("new"));
        assert_eq!(read.value("password"), None);
    }

    #[test]
    fn refused() {
        assert!(Register::parse(&el("<query xmlns='jabber:iq:auth'/>")).is_err());
        let bad = "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data'/></query>";
        assert!(Register::parse(&el(bad)).is_err());
    }
}
