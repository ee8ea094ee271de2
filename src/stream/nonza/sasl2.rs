//! The SASL profile of XEP-0388, version 1.0.4.

use wello_wire::jid::Jid;
use wello_wire::ns;
use wello_wire::xml::Element;

use super::{AuthFailure, UserAgent, data_element, data_of, sasl1, text_element, text_of, texts};
use crate::sasl::{Condition, Failure, Reason};

/// Every element of the profile, from either side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sasl2 {
    Authenticate(Box<Authenticate>),
    Challenge(Vec<u8>),
    Response(Vec<u8>),
    /// With the client's reason, for the log.
    Abort(Option<String>),
    Success(Box<Authenticated>),
    Continue(Continue),
    Next(Next),
    TaskData(Vec<Element>),
    Failure(AuthFailure),
}

/// `<authenticate/>`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authenticate {
    pub mechanism: String,
    pub initial_response: Option<Vec<u8>>,
    pub user_agent: Option<UserAgent>,
    /// What else the client asks for: binding, resumption, tokens, upgrades.
    pub inline: Vec<Element>,
}

/// `<success/>`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated {
    pub additional_data: Option<Vec<u8>>,
    /// Bare, or full if a resource has been bound.
    pub authorization_identifier: Jid,
    /// The results of what the client asked for.
    pub inline: Vec<Element>,
}

/// `<continue/>`: one of these tasks has to be done before success.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Continue {
    pub additional_data: Option<Vec<u8>>,
    pub tasks: Vec<String>,
    /// For people.
    pub text: Option<String>,
}

/// `<next/>`: the task that the client has chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Next {
    pub task: String,
    pub payload: Vec<Element>,
}

impl Sasl2 {
    /// Reads an element in the namespace of the profile; `None` for those of other namespaces.
    ///
    /// # Errors
    /// What to refuse the peer with: `incorrect-encoding` for bad base64, `invalid-mechanism` if
    /// there is none, `malformed-request` for everything else.
    pub fn read(element: Element, max: usize) -> Option<Result<Sasl2, Failure>> {
        (element.ns() == ns::SASL2).then(|| Sasl2::read_known(element, max))
    }

    fn read_known(element: Element, max: usize) -> Result<Sasl2, Failure> {
        match element.name() {
            "authenticate" => {
                Authenticate::read(element, max).map(|read| Sasl2::Authenticate(Box::new(read)))
            }
            "challenge" => data_of(&element, max).map(Sasl2::Challenge),
            "response" => data_of(&element, max).map(Sasl2::Response),
            "abort" => Ok(Sasl2::Abort(element.child("text", ns::SASL2).and_then(text_of))),
            "success" => {
                Authenticated::read(element, max).map(|read| Sasl2::Success(Box::new(read)))
            }
            "continue" => Continue::read(&element, max).map(Sasl2::Continue),
            "next" => Next::read(element).map(Sasl2::Next),
            "task-data" => Ok(Sasl2::TaskData(element.into_children().collect())),
            "failure" => Ok(Sasl2::Failure(AuthFailure::read(element))),
            _ => Err(MALFORMED),
        }
    }

    pub fn write(&self) -> Element {
        match self {
            Sasl2::Authenticate(authenticate) => authenticate.write(),
            Sasl2::Challenge(data) => data_element("challenge", ns::SASL2, data),
            Sasl2::Response(data) => data_element("response", ns::SASL2, data),
            Sasl2::Abort(text) => Element::new("abort", ns::SASL2)
                .with_children(text.iter().map(|text| text_element("text", ns::SASL2, text))),
            Sasl2::Success(success) => success.write(),
            Sasl2::Continue(task) => task.write(),
            Sasl2::Next(next) => Element::new("next", ns::SASL2)
                .with_attr("task", next.task.as_str())
                .with_children(next.payload.iter().cloned()),
            Sasl2::TaskData(payload) => {
                Element::new("task-data", ns::SASL2).with_children(payload.iter().cloned())
            }
            Sasl2::Failure(failure) => failure.write(ns::SASL2),
        }
    }
}

impl Authenticate {
    /// The first inline request of that name.
    pub fn inline_child(&self, name: &str, namespace: &str) -> Option<&Element> {
        self.inline.iter().find(|child| child.is(name, namespace))
    }

    fn read(element: Element, max: usize) -> Result<Authenticate, Failure> {
        let initial = element.child("initial-response", ns::SASL2);
        let user_agent = element.child("user-agent", ns::SASL2);
        Ok(Authenticate {
            mechanism: sasl1::mechanism(&element)?,
            initial_response: initial.map(|child| data_of(child, max)).transpose()?,
            user_agent: user_agent.map(UserAgent::read).transpose()?,
            inline: foreign_children(element).collect(),
        })
    }

    fn write(&self) -> Element {
        Element::new("authenticate", ns::SASL2)
            .with_attr("mechanism", self.mechanism.as_str())
            .with_children(optional_data("initial-response", self.initial_response.as_deref()))
            .with_children(self.user_agent.as_ref().map(UserAgent::write))
            .with_children(self.inline.iter().cloned())
    }
}

impl Authenticated {
    fn read(element: Element, max: usize) -> Result<Authenticated, Failure> {
        let identifier = element.child("authorization-identifier", ns::SASL2).and_then(text_of);
        let identifier = identifier.and_then(|identifier| identifier.parse().ok());
        Ok(Authenticated {
            additional_data: additional_data(&element, max)?,
            authorization_identifier: identifier.ok_or(MALFORMED)?,
            inline: foreign_children(element).collect(),
        })
    }

    fn write(&self) -> Element {
        let identifier = self.authorization_identifier.as_str();
        Element::new("success", ns::SASL2)
            .with_children(optional_data("additional-data", self.additional_data.as_deref()))
            .with_child(text_element("authorization-identifier", ns::SASL2, identifier))
            .with_children(self.inline.iter().cloned())
    }
}

impl Continue {
    fn read(element: &Element, max: usize) -> Result<Continue, Failure> {
        let tasks = element.child("tasks", ns::SASL2);
        Ok(Continue {
            additional_data: additional_data(element, max)?,
            tasks: tasks.map(|tasks| texts(tasks, "task", ns::SASL2)).unwrap_or_default(),
            text: element.child("text", ns::SASL2).and_then(text_of),
        })
    }

    fn write(&self) -> Element {
        let tasks = self.tasks.iter().map(|task| text_element("task", ns::SASL2, task));
        let text = self.text.iter().map(|text| text_element("text", ns::SASL2, text));
        Element::new("continue", ns::SASL2)
            .with_children(optional_data("additional-data", self.additional_data.as_deref()))
            .with_child(Element::new("tasks", ns::SASL2).with_children(tasks))
            .with_children(text)
    }
}

impl Next {
    fn read(element: Element) -> Result<Next, Failure> {
        let task = element.attr("task").ok_or(MALFORMED)?.to_owned();
        Ok(Next { task, payload: element.into_children().collect() })
    }
}

const MALFORMED: Failure = Failure::new(Condition::MalformedRequest, Reason::Syntax);

/// The extensions inside an element of the profile.
fn foreign_children(element: Element) -> impl Iterator<Item = Element> {
    element.into_children().filter(|child| child.ns() != ns::SASL2)
}

fn additional_data(element: &Element, max: usize) -> Result<Option<Vec<u8>>, Failure> {
    let data = element.child("additional-data", ns::SASL2);
    data.map(|child| data_of(child, max)).transpose()
}

fn optional_data(name: &str, data: Option<&[u8]>) -> Option<Element> {
    data.map(|data| data_element(name, ns::SASL2, data))
}
