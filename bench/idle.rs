//! Many sessions that do nothing: what each costs the server in memory.

use std::{cell::Cell, rc::Rc, time::Duration};

use anyhow::{Context, Result, ensure};
use tokio::{
    task::{AbortHandle, spawn_local},
    time::Instant,
};

use crate::{
    client::{Account, Client},
    process::{Memory, Process},
};

/// Sessions opened at the same time.
const CONCURRENCY: usize = 16;

/// How long the server may stay busy after the last login.
const QUIET: Duration = Duration::from_secs(15);

pub(crate) struct Idle {
    pub(crate) sessions: usize,
    pub(crate) before: Memory,
    pub(crate) after: Memory,
    /// Time to open all sessions.
    pub(crate) opening: Duration,
}

impl Idle {
    /// Growth of the resident set in bytes per session.
    pub(crate) fn bytes_per_session(&self) -> u64 {
        self.after.rss_kib.saturating_sub(self.before.rss_kib) * 1024 / self.sessions.max(1) as u64
    }
}

/// Opens sessions, the accounts in turn, sends initial presence on each, waits for silence and looks at the server's
/// memory.
pub(crate) async fn run(
    client: &Client,
    accounts: &[Account],
    sessions: usize,
    server: Process,
) -> Result<Idle> {
    ensure!(!accounts.is_empty(), "no accounts");
    raise_file_limit(sessions)?;
    server.quiet(QUIET).await?;
    let before = server.memory()?;
    let begin = Instant::now();
    let broken = Rc::new(Cell::new(0));
    let held = open_all(client, accounts, sessions, &broken).await?;
    let opening = begin.elapsed();
    server.quiet(QUIET).await?;
    let after = server.memory()?;
    held.iter().for_each(AbortHandle::abort);
    let broken = broken.get();
    ensure!(broken == 0, "{broken} of {sessions} sessions were closed by the server");
    Ok(Idle { sessions, before, after, opening })
}

async fn open_all(
    client: &Client,
    accounts: &[Account],
    sessions: usize,
    broken: &Rc<Cell<usize>>,
) -> Result<Vec<AbortHandle>> {
    let wanted: Vec<(Account, String)> = (0..sessions)
        .map(|i| (accounts[i % accounts.len()].clone(), format!("idle{}", i / accounts.len())))
        .collect();
    let openers: Vec<_> = wanted
        .chunks(sessions.div_ceil(CONCURRENCY).max(1))
        .map(|part| spawn_local(open_some(client.clone(), part.to_vec(), Rc::clone(broken))))
        .collect();
    let mut held = Vec::with_capacity(sessions);
    for opener in openers {
        held.extend(opener.await??);
    }
    Ok(held)
}

async fn open_some(
    client: Client,
    wanted: Vec<(Account, String)>,
    broken: Rc<Cell<usize>>,
) -> Result<Vec<AbortHandle>> {
    let mut held = Vec::with_capacity(wanted.len());
    for (account, resource) in &wanted {
        let (mut session, _) = client.login(account, resource).await?;
        session.send(b"<presence/>").await?;
        let broken = Rc::clone(&broken);
        let reader = spawn_local(async move {
            while session.read().await.is_ok() && session.drain(|_| Ok(true)).is_ok() {}
            broken.set(broken.get() + 1);
        });
        held.push(reader.abort_handle());
    }
    Ok(held)
}

/// Makes sure that this process, and a server it starts, may open `sessions` sockets.
pub(crate) fn raise_file_limit(sessions: usize) -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    /// Files a server or the generator needs besides sockets.
    const SPARE: u64 = 256;
    let wanted = sessions as u64 + SPARE;
    let now = getrlimit(Resource::Nofile);
    if now.current.is_none_or(|n| n >= wanted) {
        return Ok(());
    }
    let maximum = now.maximum.map(|m| m.max(wanted));
    setrlimit(Resource::Nofile, Rlimit { current: maximum.or(Some(wanted)), maximum })
        .or_else(|_| {
            setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: now.maximum })
        })
        .with_context(|| format!("{wanted} open files are needed, the limit is {:?}", now.maximum))
}
