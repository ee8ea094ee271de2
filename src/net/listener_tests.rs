use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;

/// A listener on loopback that hands its connections to a channel.
struct Server {
    address: SocketAddr,
    admission: Admission,
    accepted: mpsc::Receiver<Accepted>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    fn start(address: &str, options: ListenOptions, admission: Admission) -> Self {
        let listener = Listener::bind(address.parse().unwrap(), options).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, accepted) = mpsc::channel(100);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(listener.run(
            admission.clone(),
            async move { stopped.await.unwrap_or(()) },
            move |accepted| sender.try_send(accepted).unwrap_or(()),
        ));
        Self { address, admission, accepted, stop, task }
    }

    fn behind_proxy(per_subscriber: u32) -> Self {
        let proxies = vec!["127.0.0.1".parse().unwrap()];
        let options = ListenOptions { proxies, ..ListenOptions::default() };
        Self::start("127.0.0.1:0", options, Admission::new(100, per_subscriber))
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn next(&mut self) -> Accepted {
        self.accepted.recv().await.unwrap()
    }
}

fn plain(total: usize) -> Server {
    Server::start("127.0.0.1:0", ListenOptions::default(), Admission::new(total, 1))
}

async fn assert_closed(client: &mut TcpStream) {
    // A close with unread input is a reset.
    match client.read(&mut [0; 1]).await {
        Ok(count) => assert_eq!(count, 0),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

#[tokio::test]
async fn accepted_connection_is_set_up() {
    let mut server = plain(10);
    let mut client = server.connect().await;
    let mut accepted = server.next().await;
    assert_eq!(accepted.peer, client.local_addr().unwrap());
    assert_eq!(accepted.local, server.address);
    let socket = SockRef::from(&accepted.stream);
    assert!(accepted.stream.nodelay().unwrap());
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), Liveness::default().keepalive_idle);
    assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Liveness::default().unacknowledged));
    client.write_all(b"x").await.unwrap();
    assert_eq!(accepted.stream.read_u8().await.unwrap(), b'x');
}

#[tokio::test]
async fn dual_stack_shows_ipv4_as_ipv4() {
    let options = ListenOptions::default();
    let mut server = Server::start("[::]:0", options, Admission::new(10, 1));
    let client = TcpStream::connect((Ipv4Addr::LOCALHOST, server.address.port())).await.unwrap();
    let accepted = server.next().await;
    assert_eq!(accepted.peer, client.local_addr().unwrap());
    assert!(accepted.local.is_ipv4());
}

#[tokio::test]
async fn full_server_leaves_connections_in_the_backlog() {
    let mut server = plain(1);
    let _first = server.connect().await;
    let first = server.next().await;
    let _second = server.connect().await; // by the kernel
    // The loop has had every chance to run once a round trip over another listener is done.
    let mut other = plain(1);
    let _probe = other.connect().await;
    other.next().await;
    assert!(server.accepted.try_recv().is_err());
    assert_eq!(server.admission.taken(), 1);
    drop(first);
    server.next().await;
}

#[tokio::test]
async fn shutdown_closes_the_socket_but_no_connection() {
    let mut server = plain(10);
    let mut client = server.connect().await;
    let mut accepted = server.next().await;
    server.stop.send(()).unwrap();
    server.task.await.unwrap();
    let refused = TcpStream::connect(server.address).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    client.write_all(b"x").await.unwrap();
    assert_eq!(accepted.stream.read_u8().await.unwrap(), b'x');
    assert_eq!(server.admission.taken(), 1);
}

#[tokio::test]
async fn shutdown_while_full() {
    let mut server = plain(1);
    let _client = server.connect().await;
    let _accepted = server.next().await;
    server.stop.send(()).unwrap();
    server.task.await.unwrap();
}

#[tokio::test]
async fn occupied_port_is_explained_and_restart_is_not_kept_waiting() {
    let server = plain(10);
    let error = Listener::bind(server.address, ListenOptions::default()).map(|_| ()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&server.address.to_string()) && text.contains("another program"),
        "{text}"
    );

    let mut server = server;
    let _client = server.connect().await;
    drop(server.next().await); // our end closes first: TIME_WAIT
    server.stop.send(()).unwrap();
    server.task.await.unwrap();
    Listener::bind(server.address, ListenOptions::default()).unwrap();
}

#[tokio::test]
async fn proxied_connection_has_the_addresses_of_the_header() {
    let mut server = Server::behind_proxy(1);
    let mut client = server.connect().await;
    client.write_all(b"PROXY TCP4 192.0.2.1 198.51.100.2 49152 5222\r\n<").await.unwrap();
    let mut accepted = server.next().await;
    assert_eq!(accepted.peer, "192.0.2.1:49152".parse().unwrap());
    assert_eq!(accepted.local, "198.51.100.2:5222".parse().unwrap());
    assert_eq!(accepted.stream.read_u8().await.unwrap(), b'<');

    // The limit is on the address behind the proxy.
    let mut refused = server.connect().await;
    refused.write_all(b"PROXY TCP4 192.0.2.1 198.51.100.2 49153 5222\r\n").await.unwrap();
    assert_closed(&mut refused).await;
    let mut neighbour = server.connect().await;
    neighbour.write_all(b"PROXY TCP4 192.0.2.2 198.51.100.2 49153 5222\r\n").await.unwrap();
    assert_eq!(server.next().await.peer, "192.0.2.2:49153".parse().unwrap());
    assert_eq!(server.admission.refused(), 1);
}

#[tokio::test]
async fn health_check_of_the_proxy_keeps_the_socket_addresses() {
    let mut server = Server::behind_proxy(1);
    let mut client = server.connect().await;
    client.write_all(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0").await.unwrap();
    assert_eq!(server.next().await.peer, client.local_addr().unwrap());
}

#[tokio::test]
async fn malformed_proxy_header_closes() {
    let server = Server::behind_proxy(1);
    let mut client = server.connect().await;
    client.write_all(b"<?xml version='1.0'?><stream:stream>").await.unwrap();
    assert_closed(&mut client).await;
}

#[tokio::test]
async fn silent_proxy_holds_up_nobody() {
    let mut server = Server::behind_proxy(1);
    let _silent = server.connect().await;
    let mut client = server.connect().await;
    client.write_all(b"PROXY UNKNOWN\r\n").await.unwrap();
    assert_eq!(server.next().await.peer, client.local_addr().unwrap());
}

#[tokio::test]
async fn header_from_a_stranger_is_not_read() {
    let proxies = vec!["192.0.2.0/24".parse().unwrap()];
    let options = ListenOptions { proxies, ..ListenOptions::default() };
    let mut server = Server::start("127.0.0.1:0", options, Admission::new(10, 1));
    let mut client = server.connect().await;
    client.write_all(b"PROXY TCP4 192.0.2.1 198.51.100.2 49152 5222\r\n").await.unwrap();
    let mut accepted = server.next().await;
    assert_eq!(accepted.peer, client.local_addr().unwrap());
    assert_eq!(accepted.stream.read_u8().await.unwrap(), b'P');
}

/// Gives these errors one by one, then nothing; notes when it was asked.
struct Script {
    errors: Mutex<VecDeque<io::Error>>,
    asked: Mutex<Vec<Instant>>,
    exhausted: Arc<tokio::sync::Notify>,
}

impl Incoming for Script {
    async fn next(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.asked.lock().push(Instant::now());
        let next = self.errors.lock().pop_front();
        match next {
            Some(error) => Err(error),
            None => {
                self.exhausted.notify_one();
                pending().await
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn accept_errors_slow_the_loop_down_or_are_ignored() {
    const EMFILE: i32 = 24;
    const ECONNABORTED: i32 = 103;
    let codes = [[ECONNABORTED; 3].as_slice(), &[EMFILE; 10]].concat();
    let exhausted = Arc::new(tokio::sync::Notify::new());
    let script = Script {
        errors: Mutex::new(codes.into_iter().map(io::Error::from_raw_os_error).collect()),
        asked: Mutex::default(),
        exhausted: Arc::clone(&exhausted),
    };
    let admission = Admission::new(1, 1);
    accept_loop(&script, &ListenOptions::default(), &admission, exhausted.notified(), |_| ()).await;
    let asked = script.asked.lock();
    let pauses: Vec<u128> = asked.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    assert_eq!(pauses, [0, 0, 0, 10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000]);
    assert_eq!(admission.taken(), 0);
    assert_eq!(Duration::from_millis(10), FIRST_PAUSE);
}
