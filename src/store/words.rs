/// A stored word is not one of those that its column may hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a {1}")]
pub struct UnknownWord(pub String, pub &'static str);

impl From<UnknownWord> for crate::StoreError {
    fn from(error: UnknownWord) -> Self {
        Self::Corrupt(error.to_string())
    }
}

/// Gives an enum the words by which it is stored and shown.
macro_rules! words {
    ($type:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $type {
            /// The word by which it is stored and shown.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::UnknownWord;

            fn from_str(word: &str) -> Result<Self, $crate::UnknownWord> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::UnknownWord(word.to_owned(), stringify!($type))),
                }
            }
        }
    };
}

pub(crate) use words;
