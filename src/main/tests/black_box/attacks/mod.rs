//! Peers that mean harm: the server's memory stays bounded, they are told why they are cut off,
//! and somebody who has logged in is served all the while.

mod floods;
mod slow_readers;
mod strangers;

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::client::{Client, Gone};
use crate::server::Server;

/// A client that asks the server something again and again.
pub struct Witness {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(u64, Duration), Gone>>,
}

/// Longer than this nobody waits, on a machine that runs other tests as well.
const SERVED_WITHIN: Duration = Duration::from_secs(10);

impl Witness {
    pub async fn start(server: &Server) -> Witness {
        let client = Client::login(server, "witness", "phone").await.unwrap();
        let (stop, stopped) = oneshot::channel();
        Witness { stop, task: tokio::spawn(ask_until(client, stopped)) }
    }

    /// Ends it; fails when it was not served.
    pub async fn served(self) {
        let _ = self.stop.send(());
        let (answers, slowest) = self.task.await.unwrap().expect("the witness stays connected");
        println!("meanwhile another client had {answers} answers, the slowest after {slowest:?}");
        assert!(answers > 0 && slowest < SERVED_WITHIN, "{answers} answers, {slowest:?}");
    }
}

async fn ask_until(
    mut client: Client,
    mut stopped: oneshot::Receiver<()>,
) -> Result<(u64, Duration), Gone> {
    const PING: &str = "<iq type='get' to='localhost' id='p'><ping xmlns='urn:xmpp:ping'/></iq>";
    let (mut answers, mut slowest) = (0, Duration::ZERO);
    loop {
        let asked = Instant::now();
        client.send(PING).await?;
        client.find("<iq").await?;
        answers += 1;
        slowest = slowest.max(asked.elapsed());
        // Often enough to notice, and leaving the machine to the attack.
        let pause = tokio::time::sleep(Duration::from_millis(20));
        tokio::select! {
            _ = &mut stopped => return Ok((answers, slowest)),
            () = pause => {}
        }
    }
}
