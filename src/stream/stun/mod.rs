//! STUN messages (RFC 8489), read without copying and written into a buffer of the caller.

mod address;
pub mod attribute;
mod checksum;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use checksum::Key;
pub use read::{Malformed, Message};
pub use write::{Writer, data_indication};

/// Every message begins with as many bytes (section 5).
pub const HEADER: usize = 20;
const MAGIC: [u8; 4] = 0x2112_A442_u32.to_be_bytes();

pub type TransactionId = [u8; 12];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Request,
    Indication,
    Success,
    Error,
}

/// Those of STUN and TURN (RFC 8656, section 17).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Binding = 0x001,
    Allocate = 0x003,
    Refresh = 0x004,
    Send = 0x006,
    Data = 0x007,
    CreatePermission = 0x008,
    ChannelBind = 0x009,
}

impl Method {
    const ALL: [Method; 7] = [
        Method::Binding,
        Method::Allocate,
        Method::Refresh,
        Method::Send,
        Method::Data,
        Method::CreatePermission,
        Method::ChannelBind,
    ];
}

/// Section 5: the bits of the class lie among those of the method.
fn message_type(class: Class, method: Method) -> u16 {
    let method = method as u16;
    let class = match class {
        Class::Request => 0,
        Class::Indication => 0x010,
        Class::Success => 0x100,
        Class::Error => 0x110,
    };
    class | (method & 0xf) | ((method & 0x70) << 1) | ((method & 0xf80) << 2)
}

fn class_of(message_type: u16) -> Class {
    match message_type & 0x110 {
        0 => Class::Request,
        0x010 => Class::Indication,
        0x100 => Class::Success,
        _ => Class::Error,
    }
}

fn method_of(message_type: u16) -> Option<Method> {
    let t = message_type;
    let method = (t & 0xf) | ((t & 0xe0) >> 1) | ((t & 0x3e00) >> 2);
    Method::ALL.into_iter().find(|known| *known as u16 == method)
}

/// Attributes begin at multiples of four bytes (section 14).
fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}
