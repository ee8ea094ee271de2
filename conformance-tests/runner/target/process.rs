//! A child process whose output is kept.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context;
use tokio::process::{Child, Command};
use tokio::time::{Duration, timeout};

/// A drain waits for clients; past this the server counts as hanging.
const STOP_LIMIT: Duration = Duration::from_secs(15);
const TAIL_LINES: usize = 40;

pub(super) struct Process {
    pub(super) child: Child,
    log: PathBuf,
}

impl Process {
    /// Standard error goes to `log`; standard output is left to the caller if `piped`.
    pub(super) fn spawn(command: &mut Command, log: &Path, piped: bool) -> anyhow::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(log)?;
        let out = if piped { Stdio::piped() } else { Stdio::from(file.try_clone()?) };
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{:?} cannot be started", command.as_std().get_program()))?;
        Ok(Self { child, log: log.to_owned() })
    }

    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// SIGTERM, then the exit status.
    pub(super) async fn terminate(&mut self) -> Result<i32, String> {
        let Some(pid) = self.child.id() else {
            return Err("the server has ended by itself".to_owned());
        };
        let sent = Command::new("sh").arg("-c").arg(format!("kill -TERM {pid}")).status().await;
        sent.map_err(|e| format!("SIGTERM cannot be sent: {e}"))?;
        match timeout(STOP_LIMIT, self.child.wait()).await {
            Ok(Ok(status)) => Ok(status.code().unwrap_or(-1)),
            Ok(Err(e)) => Err(e.to_string()),
            Err(_) => {
                let _ = self.child.kill().await;
                Err(format!("the server did not stop within {} s of SIGTERM", STOP_LIMIT.as_secs()))
            }
        }
    }

    pub(super) fn log_text(&self) -> String {
        std::fs::read(&self.log)
            .map(|b| String::from_utf8_lossy(&b).into_owned())
            .unwrap_or_default()
    }

    pub(super) fn log_tail(&self) -> String {
        let text = self.log_text();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}
