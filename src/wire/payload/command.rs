//! Ad-hoc commands (XEP-0050).

use thiserror::Error;

use super::{
    PayloadError,
    data_form::DataForm,
    dom::{Build, expect, owned, required, text_of},
};
use crate::{
    error::{Condition, StanzaError},
    ns,
    xml::Element,
};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Action {
    Cancel,
    Complete,
    #[default]
    Execute,
    Next,
    Prev,
}

impl Action {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Complete => "complete",
            Self::Execute => "execute",
            Self::Next => "next",
            Self::Prev => "prev",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        match name {
            "cancel" => Some(Self::Cancel),
            "complete" => Some(Self::Complete),
            "execute" => Some(Self::Execute),
            "next" => Some(Self::Next),
            "prev" => Some(Self::Prev),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Canceled,
    Completed,
    Executing,
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Canceled => "canceled",
            Self::Completed => "completed",
            Self::Executing => "executing",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        match name {
            "canceled" => Some(Self::Canceled),
            "completed" => Some(Self::Completed),
            "executing" => Some(Self::Executing),
            _ => None,
        }
    }
}

/// What may come next; `execute` always means `default`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actions {
    pub default: Action,
    pub prev: bool,
    pub next: bool,
    pub complete: bool,
}

impl Actions {
    /// The form of the last or only stage is on its way.
    pub const LAST: Self =
        Self { default: Action::Complete, prev: false, next: false, complete: true };

    fn parse(actions: &Element) -> Result<Self, PayloadError> {
        let has = |name: &str| actions.child(name, ns::COMMANDS).is_some();
        let default = match actions.attr("execute") {
            None => Action::Next,
            Some(name) => Action::from_name(name)
                .filter(|a| matches!(a, Action::Complete | Action::Next | Action::Prev))
                .ok_or(PayloadError::Invalid("execute"))?,
        };
        Ok(Self { default, prev: has("prev"), next: has("next"), complete: has("complete") })
    }

    fn to_element(self) -> Element {
        Element::new("actions", ns::COMMANDS)
            .with_attr("execute", self.default.as_str())
            .empty_child("prev", ns::COMMANDS, self.prev)
            .empty_child("next", ns::COMMANDS, self.next)
            .empty_child("complete", ns::COMMANDS, self.complete)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoteKind {
    Info,
    Warn,
    Error,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub kind: NoteKind,
    pub text: String,
}

impl Note {
    fn parse(note: &Element) -> Self {
        let kind = match note.attr("type") {
            Some("warn") => NoteKind::Warn,
            Some("error") => NoteKind::Error,
            _ => NoteKind::Info,
        };
        Self { kind, text: text_of(note) }
    }

    fn to_element(&self) -> Element {
        let kind = match self.kind {
            NoteKind::Info => "info",
            NoteKind::Warn => "warn",
            NoteKind::Error => "error",
        };
        Element::new("note", ns::COMMANDS).with_attr("type", kind).with_text(self.text.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub node: String,
    pub session_id: Option<String>,
    /// In requests.
    pub action: Action,
    /// In answers.
    pub status: Option<Status>,
    pub actions: Option<Actions>,
    pub notes: Vec<Note>,
    pub form: Option<DataForm>,
}

impl Command {
    /// An answer with nothing but its status yet.
    #[must_use]
    pub fn answer(node: impl Into<String>, session_id: impl Into<String>, status: Status) -> Self {
        Self {
            node: node.into(),
            session_id: Some(session_id.into()),
            action: Action::Execute,
            status: Some(status),
            actions: None,
            notes: Vec::new(),
            form: None,
        }
    }

    pub fn parse(command: &Element) -> Result<Self, PayloadError> {
        expect(command, "command", ns::COMMANDS)?;
        let action = match command.attr("action") {
            None => Action::default(),
            Some(name) => Action::from_name(name).ok_or(PayloadError::Invalid("action"))?,
        };
        let status = command
            .attr("status")
            .map(|name| Status::from_name(name).ok_or(PayloadError::Invalid("status")))
            .transpose()?;
        let actions = command.child("actions", ns::COMMANDS);
        let notes = command.children().filter(|c| c.is("note", ns::COMMANDS));
        Ok(Self {
            node: required(command, "node")?.to_owned(),
            session_id: owned(command, "sessionid"),
            action,
            status,
            actions: actions.map(Actions::parse).transpose()?,
            notes: notes.map(Note::parse).collect(),
            form: DataForm::within(command)?,
        })
    }

    #[must_use]
    pub fn to_element(&self) -> Element {
        let action = match (self.status, self.action) {
            (Some(_), _) | (None, Action::Execute) => None,
            (None, action) => Some(action.as_str()),
        };
        Element::new("command", ns::COMMANDS)
            .with_attr("node", self.node.as_str())
            .with_attr_opt("sessionid", self.session_id.as_deref())
            .with_attr_opt("action", action)
            .with_attr_opt("status", self.status.map(Status::as_str))
            .with_children(self.actions.map(Actions::to_element))
            .with_children(self.form.as_ref().map(DataForm::to_element))
            .with_children(self.notes.iter().map(Note::to_element))
    }
}

/// §4.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CommandError {
    #[error("this action does not exist")]
    MalformedAction,
    #[error("this action is not possible now")]
    BadAction,
    #[error("this language is not available")]
    BadLocale,
    #[error("the form is not filled in as it must be")]
    BadPayload,
    #[error("this session does not exist")]
    BadSessionId,
    #[error("this session is over")]
    SessionExpired,
}

impl CommandError {
    /// What to answer to a command that [`Command::parse`] refuses.
    #[must_use]
    pub fn from_parse(error: PayloadError) -> StanzaError {
        match error {
            PayloadError::Invalid("action") => Self::MalformedAction.into(),
            other => other.into(),
        }
    }
}

impl From<CommandError> for StanzaError {
    fn from(error: CommandError) -> Self {
        let (condition, name) = match error {
            CommandError::MalformedAction => (Condition::BadRequest, "malformed-action"),
            CommandError::BadAction => (Condition::BadRequest, "bad-action"),
            CommandError::BadLocale => (Condition::BadRequest, "bad-locale"),
            CommandError::BadPayload => (Condition::BadRequest, "bad-payload"),
            CommandError::BadSessionId => (Condition::BadRequest, "bad-sessionid"),
            CommandError::SessionExpired => (Condition::NotAllowed, "session-expired"),
        };
        Self::new(condition)
            .with_text(error.to_string())
            .with_application(Element::new(name, ns::COMMANDS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::dom::el;

    #[test]
    fn request() {
        let element = el(
            "<command xmlns='http://jabber.org/protocol/commands' node='list' sessionid='s1' action='cancel'/>",
        );
        let read = Command::parse(&element).unwrap();
        assert_eq!(read.action, Action::Cancel);
        assert_eq!(read.to_element(), element);
        let first = el(
            "<command xmlns='http://jabber.org/protocol/commands' node='list' x='y'><z/></command>",
        );
        assert_eq!(Command::parse(&first).unwrap().action, Action::Execute);
    }

    #[test]
    fn answer() {
        let element = el(
            "<command xmlns='http://jabber.org/protocol/commands' sessionid='s1' node='config' status='executing'>\
             <actions execute='next'><prev/><next/></actions>\
             <x xmlns='jabber:x:data' type='form'><title>Available Services</title></x>\
             <note type='warn'>Careful</note></command>",
        );
        let read = Command::parse(&element).unwrap();
        let actions = read.actions.unwrap();
        assert!(actions.prev && actions.next && !actions.complete);
        assert_eq!(read.notes[0].kind, NoteKind::Warn);
        assert_eq!(read.to_element(), element);
        let mut ours = Command::answer("n", "s", Status::Completed);
        ours.actions = Some(Actions::LAST);
        assert_eq!(Command::parse(&ours.to_element()), Ok(ours));
    }

    #[test]
    fn refused() {
        let parse = |attributes: &str| {
            Command::parse(&el(&format!(
                "<command xmlns='http://jabber.org/protocol/commands' {attributes}/>"
            )))
        };
        assert_eq!(parse(""), Err(PayloadError::Missing("node")));
        assert_eq!(parse("node='n' status='x'"), Err(PayloadError::Invalid("status")));
        let error = parse("node='n' action='explode'").expect_err("unknown action");
        let answer = CommandError::from_parse(error);
        assert_eq!(answer, CommandError::MalformedAction.into());
        let missing = CommandError::from_parse(PayloadError::Missing("node"));
        assert_eq!(missing.application, None);
    }

    #[test]
    fn errors() {
        let expired = StanzaError::from(CommandError::SessionExpired).to_element(ns::CLIENT);
        assert!(expired.child("not-allowed", ns::STANZA_ERRORS).is_some());
        assert!(expired.child("session-expired", ns::COMMANDS).is_some());
        assert_eq!(expired.attr("type"), Some("cancel"));
        let bad = StanzaError::from(CommandError::BadPayload).to_element(ns::CLIENT);
        assert!(bad.child("bad-request", ns::STANZA_ERRORS).is_some());
        assert_eq!(bad.attr("type"), Some("modify"));
    }
}
