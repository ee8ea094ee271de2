//! What of a session survives a clean restart, as the store keeps it.

use std::collections::HashSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use wello_kernel::sessions::{ClientInfo, Session};
use wello_store::Timestamp;
use wello_stream::sasl::Mechanism;
use wello_stream::sm::StreamManagement;
use wello_wire::jid::{FullJid, Jid};
use wello_wire::stanza::{Stanza, StoredCopy};
use wello_wire::xml::Element;

/// Raised when a field changes its meaning; the state of other versions is not read.
const VERSION: u32 = 2;

/// A session and its half of stream management (XEP-0198, section 5).
#[derive(Debug, Serialize, Deserialize, PartialEq)]
pub struct Snapshot {
    version: u32,
    jid: String,
    id: String,
    handled: u32,
    acknowledged: u32,
    /// In the order they were sent.
    unacknowledged: Vec<Held>,
    carbons: bool,
    interested: bool,
    wants_block_list: bool,
    declines_offline: bool,
    /// The last offline message that it was sent, while it gets them.
    receiving_offline: Option<i64>,
    /// The last broadcast presence with its priority.
    presence: Option<(String, i8)>,
    directed: HashSet<String>,
    client: Client,
    expires_micros: i64,
}

/// A stanza that waits, with the number of its stored copy.
#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Held {
    xml: String,
    stored: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Client {
    transport: String,
    address: Option<std::net::IpAddr>,
    encrypted: bool,
    mechanism: String,
    client_id: Option<String>,
    grant: Option<String>,
    software: Option<String>,
    device: Option<String>,
    since_micros: i64,
}

/// Why a stored session cannot be read.
#[derive(Debug, Error)]
pub enum SnapshotError {
    #[error("it has version {0}, this program reads version {VERSION}")]
    Version(u32),
    #[error("its state is damaged: {0}")]
    Json(#[from] serde_json::Error),
    #[error("its address is damaged")]
    Address,
    #[error("one of its stanzas is damaged")]
    Stanza,
}

impl Snapshot {
    /// Takes the state of a session that has ended for this process.
    pub fn take(session: &Session, management: &StreamManagement, expires: Timestamp) -> Snapshot {
        let presence = session.presence().map(|stanza| stanza.to_element().to_string());
        Snapshot {
            version: VERSION,
            jid: session.jid.to_string(),
            id: management.id().to_owned(),
            handled: management.handled(),
            acknowledged: management.acknowledged(),
            unacknowledged: management.unacknowledged().map(Held::of).collect(),
            carbons: session.carbons(),
            interested: session.is_interested(),
            wants_block_list: session.wants_block_list(),
            declines_offline: session.declines_offline(),
            receiving_offline: session.receiving_offline().map(|copy| copy.0),
            presence: presence.zip(session.priority()),
            directed: session.take_directed().iter().map(Jid::to_string).collect(),
            client: Client::of(&session.info),
            expires_micros: expires.as_micros(),
        }
    }

    pub fn encode(&self) -> Result<Bytes, serde_json::Error> {
        serde_json::to_vec(self).map(Bytes::from)
    }

    pub fn decode(state: &[u8]) -> Result<Snapshot, SnapshotError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        // The version first: the fields of another one may not fit.
        let Versioned { version } = serde_json::from_slice(state)?;
        if version != VERSION {
            return Err(SnapshotError::Version(version));
        }
        Ok(serde_json::from_slice(state)?)
    }

    pub fn jid(&self) -> Result<FullJid, SnapshotError> {
        let jid = self.jid.parse::<Jid>().map_err(|_| SnapshotError::Address)?;
        FullJid::try_from(jid).map_err(|_| SnapshotError::Address)
    }

    pub fn client(&self) -> ClientInfo {
        let client = &self.client;
        ClientInfo {
            transport: transport(&client.transport),
            address: client.address,
            encrypted: client.encrypted,
            mechanism: client.mechanism.parse().map_or("", Mechanism::name),
            client_id: client.client_id.clone(),
            grant: client.grant.clone(),
            software: client.software.clone(),
            device: client.device.clone(),
            since: Timestamp::from_micros(client.since_micros),
        }
    }

    pub fn expires(&self) -> Timestamp {
        Timestamp::from_micros(self.expires_micros)
    }

    pub fn management(&self) -> Result<StreamManagement, SnapshotError> {
        let stanzas = self.unacknowledged.iter().map(Held::stanza);
        let stanzas = stanzas.collect::<Result<Vec<_>, _>>()?;
        let id = self.id.as_str().into();
        Ok(StreamManagement::restore(id, self.handled, self.acknowledged, stanzas))
    }

    /// Gives a new session the properties of the former one.
    pub fn apply(&self, session: &Session) -> Result<(), SnapshotError> {
        if let Some((presence, priority)) = &self.presence {
            session.set_presence(Some((read_stanza(presence)?, *priority)));
        }
        for jid in &self.directed {
            session.add_directed(jid.parse().map_err(|_| SnapshotError::Address)?);
        }
        session.set_carbons(self.carbons);
        if self.interested {
            session.set_interested();
        }
        if self.wants_block_list {
            session.set_wants_block_list();
        }
        if self.declines_offline {
            session.set_declines_offline();
        }
        session.set_receiving_offline(self.receiving_offline.map(StoredCopy));
        Ok(())
    }
}

impl Held {
    fn of(stanza: &Stanza) -> Held {
        Held { xml: stanza.to_element().to_string(), stored: stanza.stored.map(|copy| copy.0) }
    }

    fn stanza(&self) -> Result<Stanza, SnapshotError> {
        let mut stanza = read_stanza(&self.xml)?;
        stanza.stored = self.stored.map(StoredCopy);
        Ok(stanza)
    }
}

impl Client {
    fn of(info: &ClientInfo) -> Client {
        Client {
            transport: info.transport.to_owned(),
            address: info.address,
            encrypted: info.encrypted,
            mechanism: info.mechanism.to_owned(),
            client_id: info.client_id.clone(),
            grant: info.grant.clone(),
            software: info.software.clone(),
            device: info.device.clone(),
            since_micros: info.since.as_micros(),
        }
    }
}

fn transport(name: &str) -> &'static str {
    ["tcp", "tls", "websocket", "bosh"].into_iter().find(|known| *known == name).unwrap_or("")
}

fn read_stanza(xml: &str) -> Result<Stanza, SnapshotError> {
    let element = xml.parse::<Element>().map_err(|_| SnapshotError::Stanza)?;
    Stanza::from_element(element).map_err(|_| SnapshotError::Stanza)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wello_kernel::sessions::Sessions;
    use wello_wire::stanza::{MessageType, PresenceType};

    use super::*;

    fn session(jid: &str, info: ClientInfo) -> Arc<Session> {
        let jid = FullJid::try_from(jid.parse::<Jid>().unwrap()).unwrap();
        Sessions::default().bind(jid, info, 10_000, 5).unwrap()
    }

    fn message(text: &str) -> Stanza {
        let body = Element::new("body", wello_wire::ns::CLIENT).with_text(text);
        Stanza::message(MessageType::Chat).with_child(body).with_id(text)
    }

    fn full() -> (Arc<Session>, StreamManagement) {
        let info = ClientInfo {
            transport: "websocket",
            address: Some([127, 0, 0, 1].into()),
            encrypted: true,
            mechanism: "SCRAM-SHA-256",
            client_id: Some("id".into()),
            grant: Some("grant".into()),
            software: Some("Gajim".into()),
            device: Some("laptop".into()),
            since: Timestamp::from_secs(1000),
        };
        let session = session("a@b/ü c", info);
        session.set_carbons(true);
        session.set_interested();
        session.set_wants_block_list();
        session.set_declines_offline();
        session.set_receiving_offline(Some(StoredCopy(7)));
        session.set_presence(Some((Stanza::presence(PresenceType::Available), -3)));
        session.add_directed("room@c/nick".parse().unwrap());
        let mut stanzas = [message("1 <&>'\""), message("2\r\n")];
        stanzas[1].stored = Some(StoredCopy(7));
        (session, StreamManagement::restore("sm1".into(), u32::MAX, 7, stanzas))
    }

    #[test]
    fn nothing_is_lost_on_the_way_to_the_store_and_back() {
        let (before, management) = full();
        let snapshot = Snapshot::take(&before, &management, Timestamp::from_secs(2000));
        let read = Snapshot::decode(&snapshot.encode().unwrap()).unwrap();
        assert_eq!(read, snapshot);
        let after = session(read.jid().unwrap().as_str(), read.client());
        read.apply(&after).unwrap();
        assert_eq!(after.jid, before.jid);
        assert_eq!(after.info.transport, "websocket");
        assert_eq!(after.info.mechanism, "SCRAM-SHA-256");
        assert_eq!(after.info.since, Timestamp::from_secs(1000));
        assert!(after.info.is_of_client("grant") && after.info.is_of_client("id"));
        assert!(after.carbons() && after.is_interested());
        assert!(after.wants_block_list() && after.declines_offline());
        assert_eq!(after.receiving_offline(), Some(StoredCopy(7)));
        assert_eq!(after.priority(), Some(-3));
        assert!(after.has_directed(&"room@c/nick".parse().unwrap()));
        assert_eq!(read.expires(), Timestamp::from_secs(2000));
        let restored = read.management().unwrap();
        assert_eq!((restored.id(), restored.handled()), ("sm1", u32::MAX));
        assert_eq!(restored.acknowledged(), 7);
        let xml = |management: &StreamManagement| {
            management.unacknowledged().map(Held::of).collect::<Vec<_>>()
        };
        assert_eq!(xml(&restored).len(), 2);
        assert_eq!(xml(&restored), xml(&management));
        assert_eq!(Snapshot::take(&after, &restored, read.expires()), snapshot);
    }

    #[test]
    fn another_version_is_refused() {
        let state = br#"{"version": 1, "jid": ["not", "as", "we", "know", "it"]}"#;
        assert!(matches!(Snapshot::decode(state), Err(SnapshotError::Version(1))));
        assert!(matches!(Snapshot::decode(b"{"), Err(SnapshotError::Json(_))));
    }
}
