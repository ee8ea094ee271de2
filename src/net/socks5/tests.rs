use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::greeting::{Refusal, request};
use super::*;

const HASH: &str = "3006e5c52a1b4e7e4c1f0c5e6a7e0f4b1e2d3c4b";

fn connect(bytestreams: &Bytestreams) -> (DuplexStream, JoinHandle<Result<(), Reason>>) {
    let (client, server) = duplex(1024);
    let partner = Partner { stream: Box::new(server), held: Box::new(()) };
    let bytestreams = bytestreams.clone();
    (client, tokio::spawn(async move { meet(&bytestreams, partner).await }))
}

async fn greet(client: &mut DuplexStream, name: &str) -> Vec<u8> {
    client.write_all(&[5, 2, 2, 0]).await.unwrap();
    let mut answer = [0; 2];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [5, 0]);
    let request = [&[5, 1, 0, 3, name.len() as u8], name.as_bytes(), &[0, 0]].concat();
    client.write_all(&request).await.unwrap();
    let mut answer = vec![0; 2];
    client.read_exact(&mut answer).await.unwrap();
    if answer[1] == 0 {
        answer.resize(request.len(), 0);
        client.read_exact(&mut answer[2..]).await.unwrap();
        assert_eq!(answer[2..], request[2..]);
    }
    answer[..2].to_vec()
}

#[tokio::test]
async fn two_that_are_activated_hear_each_other() {
    let bytestreams = Bytestreams::default();
    let account = "romeo@montague.example".parse().unwrap();
    let (mut target, one) = connect(&bytestreams);
    assert_eq!(greet(&mut target, HASH).await, [5, 0]);
    let (mut requester, other) = connect(&bytestreams);
    assert_eq!(greet(&mut requester, &HASH.to_uppercase()).await, [5, 0]);
    let (mut stranger, third) = connect(&bytestreams);
    assert_eq!(greet(&mut stranger, HASH).await, [5, Refusal::NotAllowed as u8]);
    assert!(third.await.unwrap().is_err());
    requester.write_all(b"early").await.unwrap();
    bytestreams.activate(HASH, &account).unwrap();
    let mut heard = [0; 5];
    target.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"early");
    target.write_all(b"reply").await.unwrap();
    target.shutdown().await.unwrap();
    let mut heard = Vec::new();
    requester.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"reply");
    drop((requester, target));
    assert!(one.await.unwrap().is_ok() && other.await.unwrap().is_ok());
}

#[tokio::test]
async fn what_is_no_bytestream_is_refused() {
    let bytestreams = Bytestreams::default();
    for name in ["example.org", "z006e5c52a1b4e7e4c1f0c5e6a7e0f4b1e2d3c4b"] {
        let (mut client, served) = connect(&bytestreams);
        assert_eq!(greet(&mut client, name).await, [5, Refusal::NotAllowed as u8], "{name}");
        assert!(served.await.unwrap().is_err());
    }
    let (mut client, served) = connect(&bytestreams);
    client.write_all(&[5, 1, 2]).await.unwrap();
    let mut answer = [0; 2];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [5, 0xff]);
    assert!(served.await.unwrap().is_err());
    assert_eq!(request([5, 1, 0, 1, 127]), Err(Refusal::AddressType));
    assert_eq!(request([5, 2, 0, 3, 40]), Err(Refusal::Command));
    assert_eq!(request([4, 1, 0, 3, 40]), Err(Refusal::Command));
    assert_eq!(request([5, 1, 0, 3, 40]), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn who_is_silent_or_not_activated_is_not_kept() {
    let bytestreams = Bytestreams::default();
    let (_client, silent) = connect(&bytestreams);
    assert_eq!(silent.await.unwrap(), Err("handshake took too long"));
    let (mut client, waiting) = connect(&bytestreams);
    greet(&mut client, HASH).await;
    assert_eq!(waiting.await.unwrap(), Err("not activated"));
}
