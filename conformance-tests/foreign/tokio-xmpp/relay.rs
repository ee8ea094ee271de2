//! A TCP relay to the server, so that a test can cut the connections of a client.

use std::net::SocketAddr;

use anyhow::Result;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    cut: watch::Sender<()>,
}

impl Relay {
    pub(crate) async fn to(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (cut, cuts) = watch::channel(());
        // Ends with the process: a test makes one or two of them.
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, server, cuts.clone()));
            }
        });
        Ok(Self { address, cut })
    }

    /// Drops every connection there is; new ones are relayed again.
    pub(crate) fn cut(&self) {
        self.cut.send_replace(());
    }
}

async fn relay(mut client: TcpStream, server: SocketAddr, mut cuts: watch::Receiver<()>) {
    cuts.mark_unchanged();
    let Ok(mut server) = TcpStream::connect(server).await else {
        return;
    };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = cuts.changed() => {}
    }
}
