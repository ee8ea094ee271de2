//! A TURN client that says whatever a test wants it to say.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::time::timeout;
use wello_stream::stun::attribute::*;
use wello_stream::stun::{Class, Key, Message, Method, Writer};

use crate::Login;

const PATIENCE: Duration = Duration::from_secs(20);
const RETRANSMISSION: Duration = Duration::from_millis(500);

pub struct Client {
    pub socket: UdpSocket,
    server: SocketAddr,
    login: Login,
    realm: String,
    nonce: String,
    count: u32,
}

/// An answer, or what else came.
pub struct Packet(pub Vec<u8>);

impl Packet {
    pub fn message(&self) -> Message<'_> {
        Message::parse(&self.0).unwrap()
    }

    /// 0 is success.
    pub fn code(&self) -> u16 {
        let value = self.message().value(ERROR_CODE);
        value.map_or(0, |value| u16::from(value[2]) * 100 + u16::from(value[3]))
    }
}

impl Packet {
    /// The address that an allocation has.
    pub fn relayed(&self) -> SocketAddr {
        self.message().address(XOR_RELAYED_ADDRESS).expect("an allocation")
    }
}

pub type Fill<'f> = &'f dyn for<'w> Fn(Writer<'w>) -> Writer<'w>;

impl Client {
    /// With the nonce of a first answer, but no allocation.
    pub async fn new(server: SocketAddr, login: Login) -> Client {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (realm, nonce) = (String::new(), String::new());
        let mut client = Client { socket, server, login, realm, nonce, count: 0 };
        client.challenge().await;
        client
    }

    /// A request without credentials, and its answer.
    pub async fn challenge(&mut self) -> (usize, Packet) {
        let request = self.bare(Method::Allocate, &|w| w.with(REQUESTED_TRANSPORT, &[17, 0, 0, 0]));
        self.send(&request).await;
        let answer = self.receive().await.expect("an answer");
        assert_eq!(answer.code(), 401);
        self.realm = answer.message().text(REALM).unwrap().to_owned();
        self.nonce = answer.message().text(NONCE).unwrap().to_owned();
        (request.len(), answer)
    }

    pub fn bare(&mut self, method: Method, fill: Fill<'_>) -> Vec<u8> {
        self.count += 1;
        let mut id = [0; 12];
        id[..4].copy_from_slice(&self.count.to_be_bytes());
        let mut packet = Vec::new();
        let _ = fill(Writer::new(&mut packet, Class::Request, method, id));
        packet
    }

    pub fn with_credentials(&mut self, method: Method, fill: Fill<'_>) -> Vec<u8> {
        let (name, realm) = (self.login.username.clone(), self.realm.clone());
        let key = Key::long_term(&name, &realm, &self.login.password);
        let nonce = self.nonce.clone();
        self.bare(method, &|writer| {
            fill(writer)
                .with(USERNAME, name.as_bytes())
                .with(REALM, realm.as_bytes())
                .with(NONCE, nonce.as_bytes())
                .with_integrity(&key)
        })
    }

    pub async fn ask(&mut self, method: Method, fill: Fill<'_>) -> Packet {
        let request = self.with_credentials(method, fill);
        self.send(&request).await;
        self.receive().await.expect("an answer")
    }

    pub async fn allocate(&mut self) -> Packet {
        self.ask(Method::Allocate, &|w| w.with(REQUESTED_TRANSPORT, &[17, 0, 0, 0])).await
    }

    pub async fn permit(&mut self, peer: SocketAddr) -> u16 {
        let fill: Fill<'_> = &|w| w.with_address(XOR_PEER_ADDRESS, peer);
        self.ask(Method::CreatePermission, fill).await.code()
    }

    pub async fn bind(&mut self, number: u16, peer: SocketAddr) -> u16 {
        let number = (u32::from(number) << 16).to_be_bytes();
        let fill: Fill<'_> =
            &|w| w.with(CHANNEL_NUMBER, &number).with_address(XOR_PEER_ADDRESS, peer);
        self.ask(Method::ChannelBind, fill).await.code()
    }

    pub async fn say(&self, peer: SocketAddr, data: &[u8]) {
        let mut packet = Vec::new();
        let _ = Writer::new(&mut packet, Class::Indication, Method::Send, [9; 12])
            .with_address(XOR_PEER_ADDRESS, peer)
            .with(DATA, data);
        self.send(&packet).await;
    }

    pub async fn send(&self, packet: &[u8]) {
        self.socket.send_to(packet, self.server).await.unwrap();
    }

    pub async fn receive(&self) -> Option<Packet> {
        self.receive_within(PATIENCE).await
    }

    /// Asks again and again, as a client does whose request may be lost on its way (RFC 8489, section
    /// 6.2.1), until an answer of this method comes; counts the others.
    pub async fn insist(&mut self, request: &[u8], method: Method) -> Option<usize> {
        let until = Instant::now() + PATIENCE;
        let mut others = 0;
        while Instant::now() < until {
            self.send(request).await;
            while let Some(packet) = self.receive_within(RETRANSMISSION).await {
                if packet.message().method() == Some(method) {
                    return Some(others);
                }
                others += 1;
            }
        }
        None
    }

    async fn receive_within(&self, time: Duration) -> Option<Packet> {
        let mut buffer = vec![0; 2000];
        let (length, from) = timeout(time, self.socket.recv_from(&mut buffer)).await.ok()?.ok()?;
        assert_eq!(from, self.server);
        buffer.truncate(length);
        Some(Packet(buffer))
    }

    /// Whether all that was sent before has been taken, without an answer to it.
    pub async fn settled(&mut self) -> bool {
        let request = self.bare(Method::Binding, &|w| w);
        self.send(&request).await;
        let answer = self.receive().await.expect("an answer");
        answer.message().method() == Some(Method::Binding)
    }
}
