use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::stun::attribute::*;
use crate::stun::{Class, Key, Message, Method, Writer};

const UNIX: i64 = 1_800_000_000;
const REALM_NAME: &str = "wello.example";
const UDP: [u8; 4] = [17, 0, 0, 0];

/// What a server decides, set by the test.
struct World {
    unix: Cell<i64>,
    answers: Cell<u32>,
    full: Cell<Option<Refusal>>,
    rate: u64,
    wishes: RefCell<Vec<Wish>>,
}

impl Host for World {
    type Relay = ();

    fn unix(&self) -> i64 {
        self.unix.get()
    }

    fn may_answer(&self, _client: SocketAddr) -> bool {
        let left = self.answers.get();
        self.answers.set(left.saturating_sub(1));
        left > 0
    }

    /// 10/8 is forbidden, 198.51.100.9 is this machine.
    fn reach(&self, peer: IpAddr) -> Option<Reach> {
        match peer.to_string().as_str() {
            "198.51.100.9" => Some(Reach::OpenPorts),
            text if text.starts_with("10.") => None,
            _ => Some(Reach::Everything),
        }
    }

    fn is_open(&self, peer: SocketAddr) -> bool {
        peer.port() >= 49152
    }

    fn open(&self, wish: Wish) -> Result<Opened<()>, Refusal> {
        if let Some(refusal) = self.full.get() {
            return Err(refusal);
        }
        let address = if wish.ipv6 { "[2001:db8::9]:50000" } else { "198.51.100.9:50000" };
        let token = (wish.port == PortWish::EvenAndNext).then_some([8; 8]);
        self.wishes.borrow_mut().push(wish);
        Ok(Opened { relay: (), address: address.parse().unwrap(), token })
    }

    fn bytes_per_second(&self) -> u64 {
        self.rate
    }
}

/// A client and the server, with a clock that is turned by hand.
struct Pair {
    authority: Authority,
    world: World,
    allocation: Option<Box<Allocation>>,
    now: Now,
    username: String,
    password: String,
    nonce: String,
    count: u8,
}

fn pair() -> Pair {
    let username = format!("{}:romeo", UNIX + 3600);
    let world = World {
        unix: Cell::new(UNIX),
        answers: Cell::new(1000),
        full: Cell::default(),
        rate: 0,
        wishes: RefCell::default(),
    };
    let mut pair = Pair {
        authority: Authority::new(REALM_NAME.into(), "north".into(), [7; 32]),
        world,
        allocation: None,
        now: Duration::from_secs(50),
        password: issue("north", &username),
        username,
        nonce: String::new(),
        count: 0,
    };
    pair.nonce = pair.authority.nonce(client(), UNIX);
    pair
}

fn client() -> SocketAddr {
    "192.0.2.1:5000".parse().unwrap()
}

/// An answer, read.
struct Answer(Vec<u8>);

impl Answer {
    fn message(&self) -> Message<'_> {
        Message::parse(&self.0).unwrap()
    }

    fn error(&self) -> Option<u16> {
        let value = self.message().value(ERROR_CODE)?;
        Some(u16::from(value[2]) * 100 + u16::from(value[3]))
    }
}

type Fill<'f> = &'f dyn for<'w> Fn(Writer<'w>) -> Writer<'w>;

impl Pair {
    fn key(&self) -> Key {
        Key::long_term(&self.username, REALM_NAME, &self.password)
    }

    fn give(&mut self, packet: &[u8]) -> (Outcome<()>, Answer) {
        let mut out = Vec::new();
        let allocation = self.allocation.as_deref_mut();
        let (authority, world) = (&self.authority, &self.world);
        let outcome = handle(authority, world, client(), allocation, packet, self.now, &mut out);
        (outcome, Answer(out))
    }

    /// With credentials.
    fn packet(&mut self, method: Method, fill: Fill<'_>) -> Vec<u8> {
        self.count += 1;
        let mut packet = Vec::new();
        let request = Writer::new(&mut packet, Class::Request, method, [self.count; 12]);
        let request = fill(request)
            .with(USERNAME, self.username.as_bytes())
            .with(REALM, REALM_NAME.as_bytes())
            .with(NONCE, self.nonce.as_bytes());
        let _ = request.with_integrity(&self.key());
        packet
    }

    fn ask(&mut self, method: Method, fill: Fill<'_>) -> (Outcome<()>, Answer) {
        let packet = self.packet(method, fill);
        self.give(&packet)
    }

    /// The error that a request gets; 0 is success.
    fn code(&mut self, method: Method, fill: Fill<'_>) -> u16 {
        let (outcome, answer) = self.ask(method, fill);
        if let Outcome::Allocated(allocation, ()) = outcome {
            self.allocation = Some(allocation);
        }
        assert!(answer.message().is_by(&self.key()) || answer.error().is_some());
        answer.error().unwrap_or(0)
    }

    fn allocate(&mut self) -> u16 {
        self.code(Method::Allocate, &|w| w.with(REQUESTED_TRANSPORT, &UDP))
    }

    fn permit(&mut self, peers: &[&str]) -> u16 {
        self.code(Method::CreatePermission, &|writer| {
            peers.iter().fold(writer, |w, peer| w.with_address(XOR_PEER_ADDRESS, at(peer)))
        })
    }

    fn bind(&mut self, number: u16, peer: &str) -> u16 {
        let number = (u32::from(number) << 16).to_be_bytes();
        self.code(Method::ChannelBind, &|w| {
            w.with(CHANNEL_NUMBER, &number).with_address(XOR_PEER_ADDRESS, at(peer))
        })
    }

    fn send(&mut self, peer: &str, data: &[u8]) -> Result<Vec<u8>, Refusal> {
        let mut packet = Vec::new();
        let _ = Writer::new(&mut packet, Class::Indication, Method::Send, [1; 12])
            .with_address(XOR_PEER_ADDRESS, at(peer))
            .with(DATA, data);
        self.relayed(&packet, peer)
    }

    fn send_by(&mut self, channel: u16, peer: &str, data: &[u8]) -> Result<Vec<u8>, Refusal> {
        let mut packet = channel.to_be_bytes().to_vec();
        packet.extend((data.len() as u16).to_be_bytes());
        packet.extend(data);
        self.relayed(&packet, peer)
    }

    fn relayed(&mut self, packet: &[u8], to: &str) -> Result<Vec<u8>, Refusal> {
        let (outcome, answer) = self.give(packet);
        assert!(answer.0.is_empty(), "nobody answers data");
        match outcome {
            Outcome::Relayed { peer, payload } => {
                assert_eq!(peer, at(to));
                Ok(packet[payload].to_vec())
            }
            Outcome::Dropped(refusal) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }

    fn receive(&mut self, peer: &str) -> Result<Via, Refusal> {
        self.allocation.as_mut().unwrap().receive_from(at(peer), 4, self.now)
    }

    fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.world.unix.set(self.world.unix.get() + seconds as i64);
    }
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn who_asks_is_told_its_address() {
    let mut pair = pair();
    let mut packet = Vec::new();
    let _ = Writer::new(&mut packet, Class::Request, Method::Binding, [3; 12]);
    let (outcome, answer) = pair.give(&packet);
    assert!(matches!(outcome, Outcome::Answered));
    assert_eq!(answer.message().address(XOR_MAPPED_ADDRESS), Some(client()));
    assert!(!answer.message().has_fingerprint(), "not asked for");
    assert!(answer.0.len() <= packet.len() + 12);
    let mut packet = Vec::new();
    let _ = Writer::new(&mut packet, Class::Request, Method::Binding, [3; 12])
        .with(0x7fff, b"?")
        .with_fingerprint();
    let (_, answer) = pair.give(&packet);
    assert_eq!(answer.error(), Some(420));
    assert_eq!(answer.message().value(UNKNOWN_ATTRIBUTES), Some(&[0x7f, 0xff][..]));
    assert!(answer.message().has_fingerprint());
}

#[test]
fn who_shows_nothing_gets_little_and_not_often() {
    let mut pair = pair();
    let mut packet = Vec::new();
    let _ = Writer::new(&mut packet, Class::Request, Method::Allocate, [3; 12])
        .with(REQUESTED_TRANSPORT, &UDP);
    let (outcome, answer) = pair.give(&packet);
    assert!(matches!(outcome, Outcome::Refused(Refusal::NoCredentials)));
    assert_eq!(answer.error(), Some(401));
    assert_eq!(answer.message().text(REALM), Some(REALM_NAME));
    assert!(answer.message().text(NONCE).is_some());
    assert!(answer.0.len() <= 72, "{} bytes", answer.0.len());
    pair.world.answers.set(0);
    let (outcome, answer) = pair.give(&packet);
    assert!(matches!(outcome, Outcome::Dropped(Refusal::RateLimit)) && answer.0.is_empty());
    assert_eq!(pair.allocate(), 0, "who shows credentials is not meant");
}

#[test]
fn credentials_are_checked() {
    let mut pair = pair();
    pair.password.push('x');
    assert_eq!(pair.allocate(), 401);
    pair.password.pop();
    let nonce = std::mem::replace(&mut pair.nonce, "AAAAAAAAAAAAAAAA".into());
    assert_eq!(pair.allocate(), 438);
    pair.nonce = nonce;
    let good = pair.username.clone();
    pair.username = format!("{UNIX}:romeo");
    pair.password = issue("north", &pair.username);
    assert_eq!(pair.allocate(), 401, "expired");
    pair.username = good;
    pair.password = issue("north", &pair.username);
    assert_eq!(pair.allocate(), 0);
    assert_eq!(&*pair.world.wishes.borrow()[0].user, "romeo");
}

#[test]
fn an_allocation_lasts_as_long_as_it_is_refreshed() {
    let mut pair = pair();
    assert_eq!(pair.code(Method::Refresh, &|w| w), 437, "there is none");
    assert_eq!(pair.allocate(), 0);
    assert_eq!(pair.allocate(), 437, "there is one");
    let again = pair.packet(Method::Allocate, &|w| w.with(REQUESTED_TRANSPORT, &UDP));
    pair.allocation = None;
    let (first, one) = pair.give(&again);
    let Outcome::Allocated(allocation, ()) = first else { panic!("{first:?}") };
    pair.allocation = Some(allocation);
    let (second, other) = pair.give(&again);
    assert!(matches!(second, Outcome::Answered), "the answer was lost");
    assert_eq!(one.0, other.0);
    pair.wait(599);
    assert_eq!(pair.code(Method::Refresh, &|w| w.with(LIFETIME, &9999_u32.to_be_bytes())), 0);
    pair.wait(2000);
    let (_, answer) = pair.ask(Method::Refresh, &|w| w);
    assert_eq!(answer.message().number(LIFETIME), Some(600));
    pair.wait(600);
    assert!(pair.allocation.as_ref().unwrap().is_over(pair.now));
    assert_eq!(pair.code(Method::Refresh, &|w| w), 437);
    pair.allocation = None;
    assert_eq!(pair.allocate(), 0);
    let (outcome, answer) = pair.ask(Method::Refresh, &|w| w.with(LIFETIME, &[0; 4]));
    assert!(matches!(outcome, Outcome::Ended));
    assert_eq!(answer.message().number(LIFETIME), Some(0));
    assert!(pair.allocation.as_ref().unwrap().is_over(pair.now));
}

#[test]
fn credentials_that_end_do_not_end_a_call() {
    let mut pair = pair();
    assert_eq!(pair.allocate(), 0);
    assert_eq!(pair.code(Method::Refresh, &|w| w.with(LIFETIME, &3600_u32.to_be_bytes())), 0);
    pair.wait(3599);
    assert_eq!(pair.code(Method::Refresh, &|w| w.with(LIFETIME, &3600_u32.to_be_bytes())), 0);
    pair.wait(600);
    assert_eq!(pair.code(Method::Refresh, &|w| w), 438, "the nonce is old");
    pair.nonce = pair.authority.nonce(client(), pair.world.unix.get());
    assert_eq!(pair.code(Method::Refresh, &|w| w), 0);
    pair.allocation = None;
    assert_eq!(pair.allocate(), 401, "but they begin none");
}

#[test]
fn an_allocation_belongs_to_its_user() {
    let mut pair = pair();
    assert_eq!(pair.allocate(), 0);
    pair.username = format!("{}:juliet", UNIX + 3600);
    pair.password = issue("north", &pair.username);
    assert_eq!(pair.permit(&["203.0.113.1:1"]), 441);
    assert_eq!(pair.code(Method::Refresh, &|w| w.with(LIFETIME, &[0; 4])), 441);
}

#[test]
fn wishes_that_cannot_be_granted() {
    let mut pair = pair();
    assert_eq!(pair.code(Method::Allocate, &|w| w), 400);
    assert_eq!(pair.code(Method::Allocate, &|w| w.with(REQUESTED_TRANSPORT, &[6, 0, 0, 0])), 442);
    let odd = [
        (REQUESTED_ADDRESS_FAMILY, vec![3, 0, 0, 0], 440),
        (RESERVATION_TOKEN, vec![0; 7], 400),
        (EVEN_PORT, vec![], 400),
        (0x001A, vec![], 420),
    ];
    for (kind, value, code) in odd {
        let got =
            pair.code(Method::Allocate, &|w| w.with(REQUESTED_TRANSPORT, &UDP).with(kind, &value));
        assert_eq!(got, code, "{kind:#x}");
    }
    let both = pair.code(Method::Allocate, &|w| {
        w.with(REQUESTED_TRANSPORT, &UDP).with(EVEN_PORT, &[0]).with(RESERVATION_TOKEN, &[0; 8])
    });
    assert_eq!(both, 400);
    pair.world.full.set(Some(Refusal::UserQuota));
    assert_eq!(pair.allocate(), 486);
    pair.world.full.set(Some(Refusal::Capacity));
    assert_eq!(pair.allocate(), 508);
}

#[test]
fn wishes_that_are_granted() {
    let mut pair = pair();
    let wishes: [(u16, &[u8], PortWish); 3] = [
        (EVEN_PORT, &[0], PortWish::Even),
        (EVEN_PORT, &[0x80], PortWish::EvenAndNext),
        (RESERVATION_TOKEN, &[5; 8], PortWish::Reserved([5; 8])),
    ];
    for (kind, value, expected) in wishes {
        let (outcome, answer) =
            pair.ask(Method::Allocate, &|w| w.with(REQUESTED_TRANSPORT, &UDP).with(kind, value));
        assert!(matches!(outcome, Outcome::Allocated(..)), "{outcome:?}");
        let token = answer.message().value(RESERVATION_TOKEN);
        assert_eq!(token.is_some(), expected == PortWish::EvenAndNext);
        let wish = pair.world.wishes.borrow_mut().pop().unwrap();
        assert_eq!((wish.port, wish.ipv6), (expected, false));
    }
    let ipv6 = pair.code(Method::Allocate, &|w| {
        w.with(REQUESTED_TRANSPORT, &UDP).with(REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0])
    });
    assert_eq!(ipv6, 0);
    assert!(pair.world.wishes.borrow()[0].ipv6);
    assert_eq!(pair.permit(&["203.0.113.1:1"]), 443, "another family");
    assert_eq!(pair.permit(&["[2001:db8::1]:1"]), 0);
}

#[test]
fn nothing_passes_without_a_permission() {
    let mut pair = pair();
    assert_eq!(pair.send("203.0.113.1:7", b"data"), Err(Refusal::Mismatch), "no allocation");
    assert_eq!(pair.permit(&["203.0.113.1:7"]), 437);
    pair.allocate();
    assert_eq!(pair.send("203.0.113.1:7", b"data"), Err(Refusal::NoPermission));
    assert_eq!(pair.receive("203.0.113.1:7"), Err(Refusal::NoPermission));
    assert_eq!(pair.permit(&[]), 400);
    assert_eq!(pair.permit(&["203.0.113.1:0", "203.0.113.2:0"]), 0);
    for peer in ["203.0.113.1:7", "203.0.113.1:8", "203.0.113.2:7"] {
        assert_eq!(pair.send(peer, b"data"), Ok(b"data".to_vec()));
        assert!(matches!(pair.receive(peer), Ok(Via::Indication(_))));
    }
    assert_eq!(pair.send("203.0.113.3:7", b"data"), Err(Refusal::NoPermission));
    pair.wait(299);
    assert_eq!(pair.permit(&["203.0.113.2:0"]), 0);
    pair.wait(1);
    assert_eq!(pair.send("203.0.113.1:7", b"data"), Err(Refusal::NoPermission), "over");
    assert!(pair.send("203.0.113.2:7", b"data").is_ok(), "renewed");
}

#[test]
fn forbidden_peers_are_refused_all_at_once() {
    let mut pair = pair();
    pair.allocate();
    assert_eq!(pair.permit(&["203.0.113.1:7", "10.0.0.1:7"]), 403);
    assert_eq!(pair.send("203.0.113.1:7", b""), Err(Refusal::NoPermission), "all or none");
    assert_eq!(pair.bind(0x4000, "10.0.0.1:7"), 403);
    assert_eq!(pair.send_by(0x4000, "10.0.0.1:7", b""), Err(Refusal::NoChannel));
}

#[test]
fn of_this_machine_only_open_ports_are_reached() {
    let mut pair = pair();
    pair.allocate();
    assert_eq!(pair.permit(&["198.51.100.9:80"]), 0, "permissions are for addresses");
    assert_eq!(pair.send("198.51.100.9:80", b"data"), Err(Refusal::Forbidden));
    assert!(pair.send("198.51.100.9:50001", b"data").is_ok());
    assert_eq!(pair.bind(0x4000, "198.51.100.9:80"), 403);
    assert_eq!(pair.bind(0x4000, "198.51.100.9:50001"), 0);
}

#[test]
fn channels_are_one_to_one() {
    let mut pair = pair();
    pair.allocate();
    for number in [0, 0x3fff, 0x7fff, 0x8000, 0xffff] {
        assert_eq!(pair.bind(number, "203.0.113.1:7"), 400, "{number:#x}");
    }
    assert_eq!(pair.bind(0x4000, "203.0.113.1:7"), 0);
    assert_eq!(pair.send_by(0x4000, "203.0.113.1:7", b"data"), Ok(b"data".to_vec()));
    assert_eq!(pair.send_by(0x4001, "203.0.113.1:7", b"data"), Err(Refusal::NoChannel));
    assert_eq!(pair.receive("203.0.113.1:7"), Ok(Via::Channel(0x4000)));
    assert!(matches!(pair.receive("203.0.113.1:8"), Ok(Via::Indication(_))), "another port");
    assert_eq!(pair.bind(0x4000, "203.0.113.1:8"), 400, "bound to another peer");
    assert_eq!(pair.bind(0x4001, "203.0.113.1:7"), 400, "bound to another channel");
    pair.wait(500);
    assert_eq!(pair.receive("203.0.113.1:7"), Err(Refusal::NoPermission), "it lasts 5 minutes");
    assert_eq!(pair.bind(0x4000, "203.0.113.1:7"), 0);
    pair.wait(299);
    assert_eq!(pair.receive("203.0.113.1:7"), Ok(Via::Channel(0x4000)));
    pair.wait(301);
    assert_eq!(pair.send_by(0x4000, "203.0.113.1:7", b"data"), Err(Refusal::Mismatch), "all over");
    // Shorter than it says.
    pair.allocation = None;
    pair.nonce = pair.authority.nonce(client(), pair.world.unix.get());
    pair.allocate();
    pair.bind(0x4000, "203.0.113.1:7");
    assert_eq!(pair.relayed(&[0x40, 0, 0, 5, 1, 2, 3, 4], ""), Err(Refusal::Malformed));
    assert_eq!(pair.relayed(&[0x40, 0, 0], ""), Err(Refusal::Malformed));
}

#[test]
fn an_allocation_is_bounded() {
    let mut pair = pair();
    pair.allocate();
    let peers: Vec<String> = (0..33).map(|n| format!("203.0.113.{n}:1")).collect();
    let peers: Vec<&str> = peers.iter().map(String::as_str).collect();
    assert_eq!(pair.permit(&peers), 508);
    for peers in peers[..25].chunks(25) {
        assert_eq!(pair.permit(peers), 0);
    }
    let more: Vec<String> = (0..76).map(|n| format!("192.0.2.{n}:1")).collect();
    let codes: Vec<u16> = more.iter().map(|peer| pair.permit(&[peer])).collect();
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 75);
    assert_eq!(codes.last(), Some(&508));
    assert_eq!(pair.permit(&["192.0.2.1:1"]), 0, "one that is there");
    let channels: Vec<u16> =
        (0..101).map(|n| pair.bind(0x4000 + n, &format!("192.0.2.1:{}", 1000 + n))).collect();
    assert_eq!(channels.iter().filter(|code| **code == 0).count(), 100);
    assert_eq!(channels.last(), Some(&508));
}

#[test]
fn a_rate_is_kept() {
    let mut pair = pair();
    pair.world.rate = 1000;
    pair.allocate();
    pair.permit(&["203.0.113.1:7"]);
    assert!(pair.send("203.0.113.1:7", &[0; 600]).is_ok());
    assert_eq!(pair.send("203.0.113.1:7", &[0; 600]), Err(Refusal::Bandwidth));
    assert!(pair.receive("203.0.113.1:7").is_ok(), "the other direction");
    pair.now += Duration::from_millis(200);
    assert!(pair.send("203.0.113.1:7", &[0; 600]).is_ok());
    pair.wait(3600 / 60);
    assert!(pair.send("203.0.113.1:7", &[0; 1000]).is_ok());
    assert_eq!(pair.send("203.0.113.1:7", &[0; 8]), Err(Refusal::Bandwidth), "no saving up");
}

proptest! {
    #[test]
    fn whatever_a_client_sends_is_survived(
        kind in 0..0x120_u16,
        body in proptest::collection::vec(any::<u8>(), 0..120),
        attribute in 0..0x24_u16,
    ) {
        let mut pair = pair();
        pair.allocate();
        let mut attributed = attribute.to_be_bytes().to_vec();
        attributed.extend((body.len() as u16).to_be_bytes());
        attributed.extend(&body);
        attributed.resize(attributed.len().next_multiple_of(4), 0);
        let mut packet = kind.to_be_bytes().to_vec();
        packet.extend((attributed.len() as u16).to_be_bytes());
        packet.extend([0x21, 0x12, 0xa4, 0x42]);
        packet.extend([0; 12]);
        packet.extend(attributed);
        let (outcome, answer) = pair.give(&packet);
        prop_assert!(!matches!(outcome, Outcome::Allocated(..) | Outcome::Ended));
        prop_assert!(answer.0.len() <= packet.len() + 60);
        pair.give(&body);
        let (_, _) = pair.ask(Method::CreatePermission, &|w| w.with(attribute, &body));
        let (_, _) = pair.ask(Method::ChannelBind, &|w| w.with(attribute, &body));
    }
}
