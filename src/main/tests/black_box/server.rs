//! The server in a folder and a process of its own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

pub const PASSWORD: &str = "long enough 1";

pub struct Server {
    folder: TempDir,
    process: Option<Child>,
    addresses: HashMap<String, SocketAddr>,
}

impl Server {
    /// Makes the accounts and starts. `more` is appended to the configuration.
    pub async fn start(storage: &str, accounts: &[String], more: &str) -> Server {
        Server::start_with(storage, accounts, "media = []", more).await
    }

    /// The same with a port for media.
    pub async fn start_with_media(storage: &str, accounts: &[String], more: &str) -> Server {
        Server::start_with(storage, accounts, "media = [\"127.0.0.1:0\"]", more).await
    }

    async fn start_with(storage: &str, accounts: &[String], media: &str, more: &str) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "hosts = [\"localhost\"]\ndata_dir = {:?}\n\
             [listen]\nbytestreams = []\n{media}\nturn = [\"127.0.0.1:0\"]\n\
             turns = [\"127.0.0.1:0\"]\nc2s = [\"127.0.0.1:0\"]\nc2s_tls = [\"127.0.0.1:0\"]\n\
             https = [\"127.0.0.1:0\"]\nhttp = [\"127.0.0.1:0\"]\n\
             [s2s]\nenabled = false\n\
             [storage]\nurl = {storage:?}\n\
             [auth]\nscram_iterations = 4096\nmax_failures = 1000000\n{more}",
            folder.path().join("data")
        );
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        let mut server = Server { folder, process: None, addresses: HashMap::new() };
        for account in accounts {
            let jid = format!("{account}@localhost");
            let add = server.command(&["user", "add", &jid, "--password", PASSWORD]);
            assert!({ add }.status().await.unwrap().success(), "{jid}");
        }
        server.launch().await;
        server
    }

    /// Deletes an account by the command, while the server runs.
    pub async fn delete(&self, account: &str) {
        let mut delete = self.command(&["user", "del", &format!("{account}@localhost")]);
        assert!(delete.status().await.unwrap().success(), "{account}");
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wello"));
        command.args(args).arg("--config").arg(self.folder.path().join("config.toml"));
        command.current_dir(self.folder.path()).kill_on_drop(true);
        command
    }

    /// Starts the process once more.
    pub async fn launch(&mut self) {
        let log = self.folder.path().join("log");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let mut command = self.command(&["serve"]);
        let mut process = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        loop {
            let line = lines.next_line().await.unwrap();
            let line = line.unwrap_or_else(|| panic!("it did not start:\n{}", self.log()));
            if let Some(addresses) = line.strip_prefix("ready ") {
                let pairs = addresses.split(' ').filter_map(|pair| pair.split_once('='));
                self.addresses =
                    pairs.map(|(name, at)| (name.to_owned(), at.parse().unwrap())).collect();
                break;
            }
        }
        self.process = Some(process);
    }

    /// SIGKILL.
    pub async fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().await.unwrap();
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().and_then(Child::id).unwrap()
    }

    pub fn domain(&self) -> &'static str {
        "localhost"
    }

    /// Of a listener, by its name in the configuration.
    pub fn address(&self, listener: &str) -> SocketAddr {
        self.addresses[listener]
    }

    pub fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}
