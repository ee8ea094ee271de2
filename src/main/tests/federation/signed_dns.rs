//! The tests' name server behind a signature (DNSSEC): everything is in one zone, the root, and signed when it is asked
//! for.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::proto::dnssec::crypto::Ed25519SigningKey;
use hickory_resolver::proto::dnssec::rdata::{DNSKEY, DNSSECRData, NSEC, RRSIG};
use hickory_resolver::proto::dnssec::{DnssecSigner, SigningKey as _};
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{CNAME, SOA, TLSA};
use hickory_resolver::proto::rr::{DNSClass, Name, RData, Record, RecordSet, RecordType};
use parking_lot::Mutex;
use tempfile::NamedTempFile;
use time::OffsetDateTime;
use tokio::net::UdpSocket;

use crate::dns::Dns;

const TTL: u32 = 60;
const HOUR: Duration = Duration::from_secs(3600);

/// A name server that signs what another one says, and what it is told of certificates.
pub struct SignedDns {
    /// The same names at the address where answers are signed.
    pub dns: Dns,
    zone: Arc<Zone>,
    /// The key that signs, for those who check.
    pub anchor: NamedTempFile,
}

struct Zone {
    signer: DnssecSigner,
    certificates: Mutex<HashMap<Name, Certificates>>,
}

#[derive(Clone)]
enum Certificates {
    Signed(TLSA),
    /// By way of an alias. Whether that is signed, too.
    Elsewhere(TLSA, bool),
    /// As somebody on the way would have it.
    Forged(TLSA),
    /// There is no answer about it.
    Withheld,
}

impl SignedDns {
    pub async fn start() -> SignedDns {
        let plain = Dns::start().await;
        let key = Ed25519SigningKey::from_pkcs8(&Ed25519SigningKey::generate_pkcs8().unwrap());
        let key = key.unwrap();
        let public = DNSKEY::from_key(&key.to_public_key().unwrap());
        let mut anchor = NamedTempFile::new().unwrap();
        writeln!(anchor, ". {TTL} IN DNSKEY {public}").unwrap();
        let signer = DnssecSigner::new(public, Box::new(key), Name::root(), 2 * HOUR);
        let zone = Arc::new(Zone { signer, certificates: Mutex::default() });
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut dns = plain.clone();
        dns.address = socket.local_addr().unwrap();
        tokio::spawn(serve(socket, Arc::clone(&zone), plain));
        SignedDns { dns, zone, anchor }
    }

    /// What is to be in the section `[s2s]` of who checks.
    pub fn config(&self) -> String {
        format!("dane = true\ntrust_anchor = {:?}\nretry_seconds = 0\n", self.anchor.path())
    }

    /// What the place says of its certificate.
    pub fn associate(&self, host: &str, port: u16, record: TLSA) {
        self.tell(host, port, Certificates::Signed(record));
    }

    /// The same, but what it says stands at another name.
    pub fn associate_elsewhere(&self, host: &str, port: u16, record: TLSA) {
        self.tell(host, port, Certificates::Elsewhere(record, true));
    }

    /// The same, but the alias is made by somebody on the way.
    pub fn lead_astray(&self, host: &str, port: u16, record: TLSA) {
        self.tell(host, port, Certificates::Elsewhere(record, false));
    }

    pub fn forge(&self, host: &str, port: u16, record: TLSA) {
        self.tell(host, port, Certificates::Forged(record));
    }

    pub fn withhold(&self, host: &str, port: u16) {
        self.tell(host, port, Certificates::Withheld);
    }

    fn tell(&self, host: &str, port: u16, certificates: Certificates) {
        let name = Name::from_ascii(format!("_{port}._tcp.{host}.")).unwrap();
        self.zone.certificates.lock().insert(name, certificates);
    }
}

async fn serve(socket: UdpSocket, zone: Arc<Zone>, plain: Dns) {
    let inner = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    inner.connect(plain.address).await.unwrap();
    let mut buffer = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let query = buffer[..length].to_vec();
        inner.send(&query).await.unwrap();
        let length = inner.recv(&mut buffer).await.unwrap();
        let Ok(answer) = Message::from_vec(&buffer[..length]) else { continue };
        if let Some(signed) = zone.sign(answer) {
            socket.send_to(&signed.to_vec().unwrap(), from).await.unwrap();
        }
    }
}

impl Zone {
    /// `None`: no answer.
    fn sign(&self, mut answer: Message) -> Option<Message> {
        let query = answer.queries[0].clone();
        let (name, kind) = (query.name().to_lowercase(), query.query_type());
        let mut is_signed = true;
        match kind {
            RecordType::TLSA => match self.certificates.lock().get(&name).cloned() {
                Some(Certificates::Withheld) => return None,
                Some(Certificates::Signed(record)) => {
                    answer.add_answer(Record::from_rdata(name.clone(), TTL, RData::TLSA(record)));
                }
                Some(Certificates::Elsewhere(record, alias_is_signed)) => {
                    self.refer(&mut answer, &name, record, alias_is_signed);
                    return Some(answer);
                }
                Some(Certificates::Forged(record)) => {
                    is_signed = false;
                    answer.add_answer(Record::from_rdata(name.clone(), TTL, RData::TLSA(record)));
                }
                None => {}
            },
            RecordType::DNSKEY if name.is_root() => {
                let key = RData::DNSSEC(DNSSECRData::DNSKEY(self.signer.to_dnskey()));
                answer.add_answer(Record::from_rdata(name.clone(), TTL, key));
            }
            _ => {}
        }
        answer.metadata.response_code = ResponseCode::NoError;
        if answer.answers.is_empty() {
            self.deny(&mut answer, &name);
        } else if is_signed {
            let signature = self.signature(&name, kind, &answer.answers);
            answer.add_answer(signature);
        }
        Some(answer)
    }

    /// An alias, and what stands where it leads.
    fn refer(&self, answer: &mut Message, name: &Name, record: TLSA, alias_is_signed: bool) {
        let target = Name::from_ascii("certificates.hosting.example.").unwrap();
        let alias = RData::CNAME(CNAME(target.clone()));
        let alias = Record::from_rdata(name.clone(), TTL, alias);
        let record = Record::from_rdata(target, TTL, RData::TLSA(record));
        answer.metadata.response_code = ResponseCode::NoError;
        for (record, is_signed) in [(alias, alias_is_signed), (record, true)] {
            let set = std::slice::from_ref(&record);
            let signature = self.signature(&record.name, record.record_type(), set);
            answer.add_answers([record]);
            answer.add_answers(is_signed.then_some(signature));
        }
    }

    /// There is such a name, and nothing of that kind.
    fn deny(&self, answer: &mut Message, name: &Name) {
        let next = name.prepend_label("\\000").unwrap_or_else(|_| name.clone());
        let types = [RecordType::RRSIG, RecordType::NSEC];
        let nothing = RData::DNSSEC(DNSSECRData::NSEC(NSEC::new(next, types)));
        let root = Name::root;
        let authority = RData::SOA(SOA::new(root(), root(), 1, 1, 1, 1, TTL));
        for (name, data) in [(root(), authority), (name.clone(), nothing)] {
            let record = Record::from_rdata(name.clone(), TTL, data);
            let signature =
                self.signature(&name, record.record_type(), std::slice::from_ref(&record));
            answer.add_authorities([record, signature]);
        }
    }

    fn signature(&self, name: &Name, kind: RecordType, records: &[Record]) -> Record {
        let mut set = RecordSet::with_ttl(name.clone(), kind, TTL);
        for record in records {
            set.insert(record.clone(), 0);
        }
        let inception = OffsetDateTime::now_utc() - HOUR;
        let signature = RRSIG::from_rrset(&set, DNSClass::IN, inception, &self.signer).unwrap();
        Record::from_rdata(name.clone(), TTL, RData::DNSSEC(DNSSECRData::RRSIG(signature)))
    }
}
