//! Logins by full TLS handshake, SCRAM and bind, each closed at once.

use std::{cell::Cell, rc::Rc, time::Duration};

use anyhow::{Result, ensure};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::client::{Account, Agreed, Client};

/// A server that does not answer `</stream:stream>` in this time has its connection dropped.
const CLOSE: Duration = Duration::from_secs(5);

pub(crate) struct Logins {
    pub(crate) count: u64,
    pub(crate) wall: Duration,
    pub(crate) agreed: Agreed,
}

/// Logs in every account once, so that all keys are known.
pub(crate) async fn warm_up(client: &Client, accounts: &[Account]) -> Result<()> {
    for account in accounts {
        once(client, account, "warm").await?;
    }
    Ok(())
}

/// Logs in with each account in its own task, over and over for `time`.
pub(crate) async fn run(client: &Client, accounts: &[Account], time: Duration) -> Result<Logins> {
    ensure!(!accounts.is_empty(), "no accounts");
    let begin = Instant::now();
    let count = Rc::new(Cell::new(0));
    let mut workers = JoinSet::new();
    for account in accounts {
        workers.spawn_local(work(client.clone(), account.clone(), begin + time, Rc::clone(&count)));
    }
    let mut agreed = Agreed::default();
    while let Some(done) = workers.join_next().await {
        agreed = done??;
    }
    Ok(Logins { count: count.get(), wall: begin.elapsed(), agreed })
}

async fn work(
    client: Client,
    account: Account,
    deadline: Instant,
    count: Rc<Cell<u64>>,
) -> Result<Agreed> {
    let mut agreed = Agreed::default();
    while Instant::now() < deadline {
        agreed = once(&client, &account, "login").await?;
        count.set(count.get() + 1);
    }
    Ok(agreed)
}

async fn once(client: &Client, account: &Account, resource: &str) -> Result<Agreed> {
    let (mut session, agreed) = client.login(account, resource).await?;
    session.send(b"</stream:stream>").await?;
    let closed =
        async { while session.read().await.is_ok() && session.drain(|_| Ok(true)).is_ok() {} };
    // Closing is courtesy; how it goes is not what is measured.
    let _ = timeout(CLOSE, closed).await;
    Ok(agreed)
}
