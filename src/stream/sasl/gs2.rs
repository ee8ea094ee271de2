//! The GS2 header in front of SCRAM and OAUTHBEARER messages (RFC 5801, section 4).

use super::failure::{Failure, Reason};

/// `gs2-cb-flag "," [ authzid ] ","`
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gs2Header<'a> {
    /// The header as it was sent, both commas included.
    pub(super) raw: &'a str,
    pub(super) flag: BindingFlag<'a>,
    pub(super) authzid: Option<String>,
}

/// What the client says about channel binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BindingFlag<'a> {
    /// `n`: it cannot.
    Unsupported,
    /// `y`: it could, but thinks that the server cannot.
    NotOffered,
    /// `p=`: it does, with data of this type.
    Used(&'a str),
}

impl<'a> Gs2Header<'a> {
    /// Splits a message into its header and the rest.
    pub(super) fn split(message: &'a str) -> Result<(Gs2Header<'a>, &'a str), Failure> {
        let (flag, rest) = message.split_once(',').ok_or(SYNTAX)?;
        let (authzid, rest) = rest.split_once(',').ok_or(SYNTAX)?;
        let authzid = match authzid.strip_prefix("a=") {
            Some(name) => Some(decode_saslname(name)?),
            None if authzid.is_empty() => None,
            None => return Err(SYNTAX),
        };
        let raw = &message[..message.len() - rest.len()];
        Ok((Gs2Header { raw, flag: BindingFlag::parse(flag)?, authzid }, rest))
    }
}

impl<'a> BindingFlag<'a> {
    fn parse(flag: &'a str) -> Result<BindingFlag<'a>, Failure> {
        match flag {
            "n" => Ok(BindingFlag::Unsupported),
            "y" => Ok(BindingFlag::NotOffered),
            _ => match flag.strip_prefix("p=") {
                Some(name) if is_binding_name(name) => Ok(BindingFlag::Used(name)),
                _ => Err(SYNTAX),
            },
        }
    }
}

/// A name in which `,` and `=` are written `=2C` and `=3D` (RFC 5802, section 5.1).
pub(super) fn decode_saslname(encoded: &str) -> Result<String, Failure> {
    if encoded.is_empty() || encoded.contains('\0') {
        return Err(SYNTAX);
    }
    let mut parts = encoded.split('=');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // Literal text in ABNF is case-insensitive (RFC 5234, section 2.3).
        let (escaped, rest) = match part.as_bytes() {
            [b'2', b'C' | b'c', ..] => (',', &part[2..]),
            [b'3', b'D' | b'd', ..] => ('=', &part[2..]),
            _ => return Err(SYNTAX),
        };
        name.push(escaped);
        name.push_str(rest);
    }
    Ok(name)
}

const SYNTAX: Failure = Failure::malformed(Reason::Syntax);

fn is_binding_name(name: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || c == b'.' || c == b'-';
    !name.is_empty() && name.bytes().all(allowed)
}
