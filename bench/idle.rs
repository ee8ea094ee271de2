//! Many sessions that do nothing: what each costs the server in memory.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    client::{Account, Client, Session},
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
    let mut held = JoinSet::new();
    for session in open(client, accounts, sessions).await? {
        held.spawn_local(read(session));
    }
    let opening = begin.elapsed();
    server.quiet(QUIET).await?;
    let after = server.memory()?;
    let broken = std::iter::from_fn(|| held.try_join_next()).count();
    ensure!(broken == 0, "{broken} of {sessions} sessions were closed by the server");
    Ok(Idle { sessions, before, after, opening })
}

async fn open(client: &Client, accounts: &[Account], sessions: usize) -> Result<Vec<Session>> {
    let wanted: Vec<(Account, String)> = (0..sessions)
        .map(|i| (accounts[i % accounts.len()].clone(), format!("idle{}", i / accounts.len())))
        .collect();
    let mut openers = JoinSet::new();
    for part in wanted.chunks(sessions.div_ceil(CONCURRENCY).max(1)) {
        openers.spawn_local(open_some(client.clone(), part.to_vec()));
    }
    let mut opened = Vec::with_capacity(sessions);
    while let Some(some) = openers.join_next().await {
        opened.extend(some??);
    }
    Ok(opened)
}

async fn open_some(client: Client, wanted: Vec<(Account, String)>) -> Result<Vec<Session>> {
    let mut opened = Vec::with_capacity(wanted.len());
    for (account, resource) in &wanted {
        let (mut session, _) = client.login(account, resource).await?;
        session.send(b"<presence/>").await?;
        opened.push(session);
    }
    Ok(opened)
}

/// Takes what comes, until the stream ends.
async fn read(mut session: Session) {
    while session.read().await.is_ok() && session.drain(|_| Ok(true)).is_ok() {}
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
