//! Stanza errors (RFC 6120 §8.3) and stream errors (RFC 6120 §4.9).

mod stanza;
mod stream;

pub use self::{
    stanza::{Condition, ErrorType, StanzaError},
    stream::{StreamCondition, StreamError},
};

/// An enum of the element names that a specification lists.
macro_rules! conditions {
    (
        $(#[$meta:meta])*
        $name:ident { $($variant:ident = $text:literal,)* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($variant,)*
        }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($text => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

use conditions;
