use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use wello_stream::stun::attribute::*;
use wello_stream::stun::{Message, Method};

use crate::client::Client;
use crate::server::Server;
use crate::{login, start};

async fn client(server: &Server, user: &str) -> Client {
    Client::new(server.address("turn"), login(server, user, 600)).await
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// What /metrics says of the TURN server.
async fn metrics(server: &Server) -> String {
    let mut stream = TcpStream::connect(server.address("http")).await.unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text.lines()
        .filter(|line| line.starts_with("wello_turn"))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[tokio::test]
async fn a_relay_is_no_door_to_the_network_behind_it() {
    let server = start("").await;
    let mut client = client(&server, "romeo").await;
    assert_eq!(client.allocate().await.code(), 0);
    for peer in [
        "127.0.0.2:80",
        "169.254.169.254:80",
        "10.0.0.1:80",
        "172.16.0.1:80",
        "192.168.0.1:80",
        "100.64.0.1:80",
        "0.0.0.0:80",
        "224.0.0.1:80",
        "255.255.255.255:80",
    ] {
        assert_eq!(client.permit(at(peer)).await, 403, "{peer}");
        assert_eq!(client.bind(0x4000, at(peer)).await, 403, "{peer}");
        client.say(at(peer), b"data").await;
        assert!(client.settled().await, "{peer}");
    }
    assert_eq!(client.permit(at("[::1]:80")).await, 443);
    assert_eq!(client.permit(at("198.41.0.4:53")).await, 0, "a public address");
    let told = metrics(&server).await;
    assert!(told.contains("wello_turn_allocations 1"), "{told}");
    assert!(told.contains("reason=\"forbidden peer address\"} 18"), "{told}");
    assert!(told.contains("wello_turn_to_peers_bytes_total 0"), "{told}");
}

/// Of the machine itself only what other clients have as their relayed addresses.
#[tokio::test]
async fn of_the_server_only_relays_are_reached() {
    let server = start("").await;
    let service = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let service_at = service.local_addr().unwrap();
    let (mut romeo, mut juliet) = (client(&server, "romeo").await, client(&server, "juliet").await);
    let at_romeo = romeo.allocate().await.relayed();
    let at_juliet = juliet.allocate().await.relayed();
    for peer in [service_at, server.address("turn"), server.address("http")] {
        assert_eq!(romeo.permit(peer).await, 0, "the address is that of relays, too");
        romeo.say(peer, b"data").await;
        assert_eq!(romeo.bind(0x4001, peer).await, 403);
    }
    assert!(romeo.settled().await);
    assert!(service.try_recv(&mut [0; 100]).is_err());
    romeo.say(at_juliet, b"early").await;
    let dropped =
        async { while !metrics(&server).await.contains("reason=\"no permission\"} 1") {} };
    tokio::time::timeout(std::time::Duration::from_secs(20), dropped).await.expect("it is dropped");
    assert_eq!(juliet.permit(at_romeo).await, 0);
    romeo.say(at_juliet, b"to juliet").await;
    let packet = juliet.receive().await.unwrap();
    assert_eq!(packet.message().method(), Some(Method::Data));
    assert_eq!(
        packet.message().value(DATA),
        Some(&b"to juliet"[..]),
        "the early one had no permission"
    );
    assert_eq!(packet.message().address(XOR_PEER_ADDRESS), Some(at_romeo));
    assert_eq!(juliet.bind(0x4001, at_romeo).await, 0);
    romeo.say(at_juliet, b"more").await;
    assert_eq!(juliet.receive().await.unwrap().0, b"\x40\x01\0\x04more");
    let over = juliet.ask(Method::Refresh, &|w| w.with(LIFETIME, &[0; 4])).await;
    assert_eq!(over.code(), 0);
    // Nobody has that port any more, once the task that had it has ended.
    let refused = async { while romeo.bind(0x4002, at_juliet).await != 403 {} };
    tokio::time::timeout(std::time::Duration::from_secs(20), refused).await.expect("it is closed");
}

/// Who cannot reach it otherwise joins a conference through the relay.
#[tokio::test]
async fn conferences_of_the_server_are_reached() {
    let server = Server::start_with_media("sqlite:wello.db", &[], crate::ON_LOOPBACK).await;
    let mut client = client(&server, "romeo").await;
    client.allocate().await.relayed();
    assert_eq!(client.bind(0x4000, server.address("media")).await, 0);
    assert_eq!(client.bind(0x4001, server.address("turn")).await, 403);
}

/// Relays tell the outside's address, and reach each other by it although no router is there.
#[tokio::test]
async fn behind_a_router_relays_have_its_address() {
    let server = start("external_address = [\"203.0.113.7\"]\n").await;
    let (mut romeo, mut juliet) = (client(&server, "romeo").await, client(&server, "juliet").await);
    let at_romeo = romeo.allocate().await.relayed();
    let at_juliet = juliet.allocate().await.relayed();
    assert!(at_romeo.ip() == at_juliet.ip() && at_romeo.to_string().starts_with("203.0.113.7:"));
    assert_eq!(romeo.permit(at_juliet).await, 0);
    assert_eq!(juliet.permit(at_romeo).await, 0);
    romeo.say(at_juliet, b"to juliet").await;
    let packet = juliet.receive().await.unwrap();
    assert_eq!(packet.message().value(DATA), Some(&b"to juliet"[..]));
    assert_eq!(packet.message().address(XOR_PEER_ADDRESS), Some(at_romeo));
    romeo.say(SocketAddr::new(at_juliet.ip(), 22), b"to nobody").await;
    assert!(romeo.settled().await);
    assert_eq!(romeo.permit(at("203.0.113.8:1")).await, 403);
}

#[tokio::test]
async fn allocations_are_counted_by_user_by_address_and_in_all() {
    let limits = "allocations = 6\nallocations_per_user = 2\nallocations_per_address = 5\n";
    let server = start(limits).await;
    let mut held = Vec::new();
    let codes = async |user: &str, held: &mut Vec<Client>| {
        let mut client = client(&server, user).await;
        let code = client.allocate().await.code();
        held.push(client);
        code
    };
    assert_eq!(codes("romeo", &mut held).await, 0);
    assert_eq!(codes("romeo", &mut held).await, 0);
    assert_eq!(codes("romeo", &mut held).await, 486, "of the user");
    for user in ["juliet", "nurse", "tybalt"] {
        assert_eq!(codes(user, &mut held).await, 0, "{user}");
    }
    assert_eq!(codes("paris", &mut held).await, 486, "of the address");
    let over = held[0].ask(Method::Refresh, &|w| w.with(LIFETIME, &[0; 4])).await;
    assert_eq!(over.code(), 0);
    // The task of the allocation ends on its own time.
    while codes("romeo", &mut held).await != 0 {}
    let told = metrics(&server).await;
    assert!(told.contains("wello_turn_allocations 5"), "{told}");
}

#[tokio::test]
async fn a_forged_source_is_hardly_answered() {
    let server = start("").await;
    let mut victim = client(&server, "romeo").await;
    let (asked, answer) = victim.challenge().await;
    assert!(answer.0.len() <= asked + 44, "{} for {asked}", answer.0.len());
    let request = victim.bare(Method::Binding, &|w| w);
    for _ in 0..5000 {
        victim.send(&request).await;
    }
    // Credentials get through all the same.
    let with_credentials =
        victim.with_credentials(Method::Allocate, &|w| w.with(REQUESTED_TRANSPORT, &[17, 0, 0, 0]));
    let answers = victim.insist(&with_credentials, Method::Allocate).await;
    let answers = answers.expect("the answer to who shows credentials");
    assert!(answers < 500, "{answers} answers");
    let told = metrics(&server).await;
    assert!(told.contains("reason=\"too many requests\"}"), "{told}");
}

#[tokio::test]
async fn whatever_comes_the_server_lives() {
    let server = start("").await;
    let mut client = client(&server, "romeo").await;
    assert_eq!(client.allocate().await.code(), 0);
    for length in 0..1400_usize {
        let noise: Vec<u8> = (0..length).map(|n| (n * 31 + length * 7) as u8).collect();
        client.send(&noise).await;
    }
    let mut half = client.bare(Method::Refresh, &|w| w.with(USERNAME, b"x"));
    half.truncate(22);
    client.send(&half).await;
    // By TCP what is no message ends the connection.
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 100], &[0, 3, 0xff, 0xfc]] {
        let mut stream = TcpStream::connect(server.address("turn_tcp")).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        let ended = stream.read(&mut [0; 10]).await;
        assert!(matches!(ended, Ok(0) | Err(_)), "{garbage:?}");
    }
    assert_eq!(client.ask(Method::Refresh, &|w| w).await.code(), 0);
}

/// A message in pieces, and two in one.
#[tokio::test]
async fn by_tcp_messages_come_as_they_come() {
    let server = start("").await;
    let mut client = client(&server, "romeo").await;
    let mut stream = TcpStream::connect(server.address("turn_tcp")).await.unwrap();
    let request = client.bare(Method::Binding, &|w| w);
    stream.set_nodelay(true).unwrap();
    for byte in &request {
        stream.write_all(&[*byte]).await.unwrap();
    }
    let twice = [&request[..], &request[..]].concat();
    stream.write_all(&twice).await.unwrap();
    let mut answers = [0; 3 * 32];
    stream.read_exact(&mut answers).await.unwrap();
    for answer in answers.chunks(32) {
        let message = Message::parse(answer).unwrap();
        assert_eq!(message.address(XOR_MAPPED_ADDRESS), Some(stream.local_addr().unwrap()));
    }
}
