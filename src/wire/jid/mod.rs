//! XMPP addresses (RFC 7622), lenient towards peers that still follow RFC 6122.
//!
//! The text of an address is always normalised, so comparing, hashing and
//! ordering are those of a string. A clone costs one reference count.

mod prep;
#[cfg(test)]
mod tests;

use std::{
    borrow::Borrow,
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
    str::FromStr,
    sync::Arc,
};

use thiserror::Error;

pub use self::prep::domain_to_ascii;

/// Most octets in one part after normalisation (RFC 7622 §3.2 to §3.4).
pub const MAX_PART_BYTES: usize = 1023;

/// The part of an address that an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Local,
    Domain,
    Resource,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "localpart",
            Self::Domain => "domainpart",
            Self::Resource => "resourcepart",
        })
    }
}

/// Why a text is not the address that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum JidError {
    #[error("the {0} is empty")]
    Empty(Part),
    #[error("the {0} is longer than 1023 octets")]
    TooLong(Part),
    #[error("the {0} may not contain {1:?}")]
    Character(Part, char),
    #[error("the {0} is malformed")]
    Malformed(Part),
    #[error("a bare address has no resourcepart")]
    UnexpectedResource,
    #[error("a full address needs a resourcepart")]
    MissingResource,
}

/// Any address: `domain`, `local@domain`, either with `/resource`.
#[derive(Clone)]
pub struct Jid {
    text: Arc<str>,
    /// Octets of the localpart; 0 when there is none, as it cannot be empty.
    local_len: u16,
    /// Octets before the slash, or of the whole text when there is no resource.
    bare_len: u16,
}

/// An address without resource: an account, a room, a server.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BareJid(Jid);

/// An address with resource: a session, an occupant.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FullJid(Jid);

impl Jid {
    /// Normalises the three parts and puts them together.
    ///
    /// # Errors
    /// The first part that neither RFC 7622 nor RFC 6122 allows.
    pub fn from_parts(
        local: Option<&str>,
        domain: &str,
        resource: Option<&str>,
    ) -> Result<Self, JidError> {
        let local = local.map(prep::local).transpose()?;
        let domain = prep::domain(domain)?;
        let resource = resource.map(prep::resource).transpose()?;
        Ok(Self::join(local.as_deref(), &domain, resource.as_deref()))
    }

    /// Parses by RFC 7622 alone, without what RFC 6122 and newer Unicode versions add.
    /// For names that are created here, such as accounts.
    ///
    /// # Errors
    /// The first part that RFC 7622 does not allow.
    pub fn parse_strict(text: &str) -> Result<Self, JidError> {
        let (local, domain, resource) = split(text);
        let local = local.map(prep::local_strict).transpose()?;
        let domain = prep::domain(domain)?;
        let resource = resource.map(prep::resource_strict).transpose()?;
        Ok(Self::join(local.as_deref(), &domain, resource.as_deref()))
    }

    /// The whole address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address up to the resource, borrowed: for look-ups without an allocation.
    #[must_use]
    pub fn bare_str(&self) -> &str {
        &self.text[..usize::from(self.bare_len)]
    }

    #[must_use]
    pub fn local(&self) -> Option<&str> {
        match usize::from(self.local_len) {
            0 => None,
            len => Some(&self.text[..len]),
        }
    }

    /// The domain with U-labels; [`domain_to_ascii`] makes the form that DNS and TLS use.
    #[must_use]
    pub fn domain(&self) -> &str {
        let start = match usize::from(self.local_len) {
            0 => 0,
            len => len + 1,
        };
        &self.text[start..usize::from(self.bare_len)]
    }

    #[must_use]
    pub fn resource(&self) -> Option<&str> {
        self.text.get(usize::from(self.bare_len) + 1..)
    }

    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.text.len() == usize::from(self.bare_len)
    }

    /// True for the address of a server: neither local nor resource.
    #[must_use]
    pub fn is_domain(&self) -> bool {
        self.local_len == 0 && self.is_bare()
    }

    #[must_use]
    pub fn bare(&self) -> BareJid {
        if self.is_bare() {
            return BareJid(self.clone());
        }
        BareJid(Self { text: Arc::from(self.bare_str()), ..*self })
    }

    /// The address of the server that this address lives on.
    #[must_use]
    pub fn domain_jid(&self) -> BareJid {
        if self.is_domain() {
            return BareJid(self.clone());
        }
        BareJid(Self::join(None, self.domain(), None))
    }

    /// The same account with this resource, replacing one that is there.
    ///
    /// # Errors
    /// The resource is empty, too long or has characters that are not allowed.
    pub fn with_resource(&self, resource: &str) -> Result<FullJid, JidError> {
        let resource = prep::resource(resource)?;
        Ok(FullJid(Self::join(self.local(), self.domain(), Some(&resource))))
    }

    /// Joins parts that are normalised already.
    fn join(local: Option<&str>, domain: &str, resource: Option<&str>) -> Self {
        let local_len = local.map_or(0, str::len);
        let mut text =
            String::with_capacity(local_len + domain.len() + resource.map_or(0, str::len) + 2);
        if let Some(local) = local {
            text.push_str(local);
            text.push('@');
        }
        text.push_str(domain);
        let bare_len = text.len();
        if let Some(resource) = resource {
            text.push('/');
            text.push_str(resource);
        }
        Self::new(Arc::from(text), local_len, bare_len)
    }

    fn new(text: Arc<str>, local_len: usize, bare_len: usize) -> Self {
        // Each part has at most MAX_PART_BYTES, so the lengths fit.
        Self { text, local_len: local_len as u16, bare_len: bare_len as u16 }
    }

    /// The common case in one allocation: ASCII that at most needs lower-casing.
    fn parse_ascii(
        text: &str,
        local: Option<&str>,
        domain: &str,
        resource: Option<&str>,
    ) -> Option<Self> {
        if !(local.is_none_or(prep::is_ascii_local)
            && prep::is_ascii_domain(domain)
            && resource.is_none_or(prep::is_ascii_resource))
        {
            return None;
        }
        let bare_len = text.len() - resource.map_or(0, |r| r.len() + 1);
        let mut shared: Arc<str> = Arc::from(text);
        if let Some(owned) = Arc::get_mut(&mut shared) {
            owned[..bare_len].make_ascii_lowercase();
        }
        Some(Self::new(shared, local.map_or(0, str::len), bare_len))
    }
}

/// RFC 7622 §3.1: the first slash ends the domain, then the first `@` ends the localpart.
fn split(text: &str) -> (Option<&str>, &str, Option<&str>) {
    let (bare, resource) = match text.split_once('/') {
        Some((bare, resource)) => (bare, Some(resource)),
        None => (text, None),
    };
    match bare.split_once('@') {
        Some((local, domain)) => (Some(local), domain, resource),
        None => (None, bare, resource),
    }
}

impl FromStr for Jid {
    type Err = JidError;

    fn from_str(text: &str) -> Result<Self, JidError> {
        let (local, domain, resource) = split(text);
        match Self::parse_ascii(text, local, domain, resource) {
            Some(jid) => Ok(jid),
            None => Self::from_parts(local, domain, resource),
        }
    }
}

impl BareJid {
    /// Normalises both parts and puts them together.
    ///
    /// # Errors
    /// As [`Jid::from_parts`].
    pub fn from_parts(local: Option<&str>, domain: &str) -> Result<Self, JidError> {
        Jid::from_parts(local, domain, None).map(Self)
    }
}

impl FullJid {
    /// Normalises the three parts and puts them together.
    ///
    /// # Errors
    /// As [`Jid::from_parts`].
    pub fn from_parts(local: Option<&str>, domain: &str, resource: &str) -> Result<Self, JidError> {
        Jid::from_parts(local, domain, Some(resource)).map(Self)
    }

    #[must_use]
    pub fn resource(&self) -> &str {
        // A FullJid is only built around an address that has a resource.
        self.0.resource().unwrap_or_default()
    }
}

impl TryFrom<Jid> for BareJid {
    type Error = JidError;

    fn try_from(jid: Jid) -> Result<Self, JidError> {
        match jid.is_bare() {
            true => Ok(Self(jid)),
            false => Err(JidError::UnexpectedResource),
        }
    }
}

impl TryFrom<Jid> for FullJid {
    type Error = JidError;

    fn try_from(jid: Jid) -> Result<Self, JidError> {
        match jid.is_bare() {
            true => Err(JidError::MissingResource),
            false => Ok(Self(jid)),
        }
    }
}

impl PartialEq for Jid {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Jid {}

impl PartialOrd for Jid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Jid {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl Hash for Jid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

macro_rules! narrower {
    ($($type:ident),*) => {$(
        impl Deref for $type {
            type Target = Jid;

            fn deref(&self) -> &Jid {
                &self.0
            }
        }

        impl From<$type> for Jid {
            fn from(jid: $type) -> Self {
                jid.0
            }
        }

        impl FromStr for $type {
            type Err = JidError;

            fn from_str(text: &str) -> Result<Self, JidError> {
                Self::try_from(text.parse::<Jid>()?)
            }
        }

        impl PartialEq<Jid> for $type {
            fn eq(&self, other: &Jid) -> bool {
                self.0 == *other
            }
        }

        impl PartialEq<$type> for Jid {
            fn eq(&self, other: &$type) -> bool {
                *self == other.0
            }
        }
    )*};
}

narrower!(BareJid, FullJid);

macro_rules! text_like {
    ($($type:ident),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.as_str())
            }
        }

        // Sound because hash and order are those of the text; the text looked up must be normalised.
        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

    )*};
}

text_like!(Jid, BareJid, FullJid);
