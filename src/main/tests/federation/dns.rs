//! A name server (RFC 1035) that knows what the tests tell it.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::UdpSocket;

#[derive(Clone)]
pub enum Record {
    Address(Ipv4Addr),
    /// Priority, port and host.
    Service(u16, u16, String),
    /// The real name.
    Alias(String),
}

type Table = Arc<Mutex<HashMap<String, Vec<Record>>>>;

#[derive(Clone)]
pub struct Dns {
    pub address: SocketAddr,
    table: Table,
    asked: Arc<Mutex<HashMap<String, usize>>>,
}

impl Dns {
    pub async fn start() -> Dns {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let dns = Dns { address, table: Table::default(), asked: Arc::default() };
        let server = dns.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                if let Some(answer) = server.answer(&buffer[..length]) {
                    let _ = socket.send_to(&answer, from).await;
                }
            }
        });
        dns
    }

    pub fn add(&self, name: &str, record: Record) {
        self.table.lock().entry(name.to_owned()).or_default().push(record);
    }

    /// A domain whose server listens on a port of this machine.
    pub fn serve(&self, domain: &str, service: &str, port: u16) {
        let host = format!("xmpp.{domain}");
        self.add(&format!("_{service}._tcp.{domain}"), Record::Service(1, port, host.clone()));
        if !self.table.lock().contains_key(&host) {
            self.add(&host, Record::Address(Ipv4Addr::LOCALHOST));
        }
    }

    /// How often a name was asked for.
    pub fn asked(&self, name: &str) -> usize {
        self.asked.lock().get(name).copied().unwrap_or(0)
    }

    fn answer(&self, query: &[u8]) -> Option<Vec<u8>> {
        let (name, end) = read_name(query, 12)?;
        let question = query.get(12..end + 4)?;
        let kind = u16::from_be_bytes([query[end], query[end + 1]]);
        *self.asked.lock().entry(name.clone()).or_insert(0) += 1;
        let table = self.table.lock();
        let known = table.keys().any(|key| *key == name || key.ends_with(&format!(".{name}")));
        let records = table.get(&name).cloned().unwrap_or_default();
        drop(table);
        let mut answers = Vec::new();
        for record in &records {
            let (number, data) = match record {
                Record::Address(address) => (1, address.octets().to_vec()),
                Record::Alias(target) => (5, written(target)),
                Record::Service(priority, port, host) => {
                    let mut data = Vec::new();
                    for field in [*priority, 0, *port] {
                        data.extend_from_slice(&field.to_be_bytes());
                    }
                    data.extend(written(host));
                    (33, data)
                }
            };
            if number == kind || number == 5 {
                answers.push((number, data));
            }
        }
        let code: u16 = if known { 0x8580 } else { 0x8583 };
        let mut out = query[..2].to_vec();
        for field in [code, 1, answers.len() as u16, 0, 0] {
            out.extend_from_slice(&field.to_be_bytes());
        }
        out.extend_from_slice(question);
        for (number, data) in answers {
            for field in [0xc00c_u16, number, 1, 0, 60, data.len() as u16] {
                out.extend_from_slice(&field.to_be_bytes());
            }
            out.extend(data);
        }
        Some(out)
    }
}

fn read_name(bytes: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join(".").to_lowercase(), at));
        }
        labels.push(String::from_utf8(bytes.get(at..at + length)?.to_vec()).ok()?);
        at += length;
    }
}

fn written(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out
}
