use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Ok,
    /// Could not be looked at, or is good to know.
    Note,
    /// Works, but not as well as it could, or not for everybody.
    Warning,
    Error,
}

/// One line for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub level: Level,
    pub subject: &'static str,
    /// What it is and, where something is wrong, what to do.
    pub text: String,
}

impl Finding {
    pub fn ok(subject: &'static str, text: impl Into<String>) -> Finding {
        Finding { level: Level::Ok, subject, text: text.into() }
    }

    pub fn note(subject: &'static str, text: impl Into<String>) -> Finding {
        Finding { level: Level::Note, subject, text: text.into() }
    }

    pub fn warning(subject: &'static str, text: impl Into<String>) -> Finding {
        Finding { level: Level::Warning, subject, text: text.into() }
    }

    pub fn error(subject: &'static str, text: impl Into<String>) -> Finding {
        Finding { level: Level::Error, subject, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Error => "error",
        };
        write!(f, "{level:<8} {}: {}", self.subject, self.text)
    }
}
