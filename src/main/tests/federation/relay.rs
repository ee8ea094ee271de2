//! What lies between two servers, and breaks.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::AsyncWriteExt as _;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Which ends of the connections notice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Noticed {
    ByBoth,
    /// By who made them alone; the other one waits for bytes that never come.
    ByCaller,
}

/// Hands bytes on to a server until they are cut off.
pub struct Relay {
    pub port: u16,
    links: Arc<Mutex<Links>>,
}

#[derive(Default)]
struct Links {
    cut: CancellationToken,
    /// The far ends of those that were cut and not noticed there.
    forgotten: Vec<(OwnedReadHalf, OwnedWriteHalf)>,
    noticed: Option<Noticed>,
    made: usize,
}

impl Relay {
    pub async fn start(to: SocketAddr) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let links: Arc<Mutex<Links>> = Arc::default();
        let shared = Arc::clone(&links);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(to).await.unwrap();
                tokio::spawn(hand_on(near, far, Arc::clone(&shared)));
            }
        });
        Relay { port, links }
    }

    /// Breaks all connections there are, wherever in a stanza they are.
    pub fn cut(&self, noticed: Noticed) {
        let mut links = self.links.lock();
        links.noticed = Some(noticed);
        std::mem::take(&mut links.cut).cancel();
    }

    /// Connections so far.
    pub fn made(&self) -> usize {
        self.links.lock().made
    }
}

async fn hand_on(near: TcpStream, far: TcpStream, links: Arc<Mutex<Links>>) {
    let cut = {
        let mut links = links.lock();
        links.made += 1;
        links.cut.clone()
    };
    let (mut near_read, mut near_write) = near.into_split();
    let (mut far_read, mut far_write) = far.into_split();
    tokio::select! {
        () = cut.cancelled() => {}
        _ = tokio::io::copy(&mut near_read, &mut far_write) => drop(far_write.shutdown().await),
        _ = tokio::io::copy(&mut far_read, &mut near_write) => drop(near_write.shutdown().await),
    }
    let mut links = links.lock();
    if cut.is_cancelled() && links.noticed == Some(Noticed::ByCaller) {
        links.forgotten.push((far_read, far_write));
    }
}
