//! Data channels of a leg (RFC 8831), as str0m has them.

use std::sync::Arc;

use str0m::channel::{ChannelConfig, ChannelId, Reliability as StrReliability};

/// Octets of a message, as RFC 8831, section 6.6, has it for who says nothing else.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// A channel of one leg; no number is used twice on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Channel(pub u32);

/// What a channel is opened as (RFC 8832, section 5.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelSpec {
    pub label: String,
    pub protocol: String,
    pub ordered: bool,
    pub reliability: Reliability,
}

/// Until when a message is sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reliability {
    #[default]
    Whole,
    /// So many times.
    Times(u16),
    /// For so many milliseconds.
    Millis(u16),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// No text.
    pub binary: bool,
    pub data: Arc<[u8]>,
}

/// What the channels of a leg are called by str0m.
#[derive(Debug, Default)]
pub struct Channels {
    known: Vec<(Channel, ChannelId)>,
    last: u32,
}

impl Channels {
    pub fn add(&mut self, id: ChannelId) -> Channel {
        self.last += 1;
        let channel = Channel(self.last);
        self.known.push((channel, id));
        channel
    }

    pub fn remove(&mut self, id: ChannelId) -> Option<Channel> {
        let place = self.known.iter().position(|(_, known)| *known == id)?;
        Some(self.known.swap_remove(place).0)
    }

    pub fn named(&self, id: ChannelId) -> Option<Channel> {
        self.known.iter().find(|(_, known)| *known == id).map(|(channel, _)| *channel)
    }

    pub fn id(&self, channel: Channel) -> Option<ChannelId> {
        self.known.iter().find(|(known, _)| *known == channel).map(|(_, id)| *id)
    }
}

impl ChannelSpec {
    pub(super) fn read(config: &ChannelConfig) -> ChannelSpec {
        ChannelSpec {
            label: config.label.clone(),
            protocol: config.protocol.clone(),
            ordered: config.ordered,
            reliability: match config.reliability {
                StrReliability::Reliable => Reliability::Whole,
                StrReliability::MaxRetransmits { retransmits } => Reliability::Times(retransmits),
                StrReliability::MaxPacketLifetime { lifetime } => Reliability::Millis(lifetime),
            },
        }
    }

    pub(super) fn config(&self) -> ChannelConfig {
        ChannelConfig {
            label: self.label.clone(),
            protocol: self.protocol.clone(),
            ordered: self.ordered,
            reliability: match self.reliability {
                Reliability::Whole => StrReliability::Reliable,
                Reliability::Times(retransmits) => StrReliability::MaxRetransmits { retransmits },
                Reliability::Millis(lifetime) => StrReliability::MaxPacketLifetime { lifetime },
            },
            negotiated: None,
        }
    }
}
