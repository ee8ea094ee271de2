//! How a command reaches the running server: a socket in its data_dir. What changes an account
//! goes through the server, because sessions, caches and contacts have to know.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use wello_kernel::Kernel;
use wello_kernel::accounts::account_address;
use wello_kernel::audit::{Actor, AuditOutcome};

use crate::lock::DataDirLock;

const NAME: &str = "wello.sock";
/// Bytes of a question or an answer: an address and a password fit.
const MAX_LINE: u64 = 16 * 1024;
/// Deleting an account tells all its contacts.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What the server is asked to do.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    Delete { jid: String },
    Passwd { jid: String, password: String },
}

/// None when it is done, else the reason why not.
type Answer = Option<String>;

/// Serves commands until shutdown. The caller holds the lock of the data_dir, so a socket that is
/// there is left over.
pub fn listen(kernel: &Arc<Kernel>, shutdown: CancellationToken) -> anyhow::Result<()> {
    let path = kernel.config.data_dir.join(NAME);
    let _ = std::fs::remove_file(&path);
    let place = || format!("data_dir: no socket for commands at {}", path.display());
    let listener = UnixListener::bind(&path).with_context(place)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).with_context(place)?;
    let owner = std::fs::metadata(&path).with_context(place)?.uid();
    let kernel = Arc::clone(kernel);
    tokio::spawn(async move {
        loop {
            let stream = tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            // One after the other: these are commands of one operator.
            if let Ok((stream, _)) = stream
                && is_allowed(&stream, owner)
            {
                let _ = tokio::time::timeout(TIMEOUT, serve(&kernel, stream)).await;
            }
        }
        let _ = std::fs::remove_file(path);
    });
    Ok(())
}

/// Root and whoever runs the server.
fn is_allowed(stream: &UnixStream, owner: u32) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == owner)
}

async fn serve(kernel: &Arc<Kernel>, mut stream: UnixStream) -> anyhow::Result<()> {
    let order: Order = receive(&mut stream).await?;
    let answer: Answer = perform(kernel, order).await.err().map(|error| format!("{error:#}"));
    send(&mut stream, &answer).await
}

/// Does it within this process, which has or is the only server, and writes it down.
pub async fn perform(kernel: &Arc<Kernel>, order: Order) -> anyhow::Result<()> {
    let (action, jid) = match &order {
        Order::Delete { jid } => ("user del", jid.clone()),
        Order::Passwd { jid, .. } => ("user passwd", jid.clone()),
    };
    let done = carry_out(kernel, order).await;
    let outcome = match &done {
        Ok(()) => AuditOutcome::Done,
        Err(error) => AuditOutcome::Failed(format!("{error:#}")),
    };
    kernel.audit(Actor::Operator, action, &jid, &outcome).await;
    done
}

async fn carry_out(kernel: &Arc<Kernel>, order: Order) -> anyhow::Result<()> {
    match order {
        Order::Delete { jid } => Ok(kernel.delete_account(&account_address(&jid)?, None).await?),
        Order::Passwd { jid, password } => {
            Ok(kernel.set_password(&account_address(&jid)?, &password, None).await?)
        }
    }
}

/// Has the running server do it; `false` when there is none.
pub async fn ask(data_dir: &Path, order: &Order) -> anyhow::Result<bool> {
    if !DataDirLock::is_taken(data_dir) {
        return Ok(false);
    }
    let path: PathBuf = data_dir.join(NAME);
    let asked = async {
        let mut stream = UnixStream::connect(&path).await?;
        send(&mut stream, order).await?;
        receive::<Answer>(&mut stream).await
    };
    let answer = tokio::time::timeout(TIMEOUT, asked).await;
    let answer = answer.map_err(|_| anyhow!("no answer in time")).flatten();
    match answer
        .with_context(|| format!("the running server is not reached at {}", path.display()))?
    {
        None => Ok(true),
        Some(reason) => bail!(reason),
    }
}

async fn send<T: Serialize>(stream: &mut UnixStream, value: &T) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(stream.write_all(&line).await?)
}

async fn receive<T: for<'t> Deserialize<'t>>(stream: &mut UnixStream) -> anyhow::Result<T> {
    let mut line = Vec::new();
    BufReader::new(stream.take(MAX_LINE)).read_until(b'\n', &mut line).await?;
    Ok(serde_json::from_slice(&line)?)
}
