//! Servers that find each other by the tests' name server.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::certificates::{Authority, Flaw};
use crate::dns::Dns;

pub const PASSWORD: &str = "long enough 1";

pub struct Server {
    folder: TempDir,
    domain: &'static str,
    process: Option<Child>,
    addresses: HashMap<String, SocketAddr>,
}

/// How a server is to be.
pub struct Plan<'a> {
    pub domain: &'static str,
    pub accounts: &'a [&'a str],
    /// Lines of the section `[s2s]`.
    pub s2s: &'a str,
    /// For other servers; 0 is any.
    pub port: u16,
    pub more: &'a str,
    /// Who signed its certificate, and how well; its own one otherwise.
    pub certificate: Option<(&'a Authority, Flaw)>,
    /// Whose certificates it takes.
    pub trusts: Option<&'a Authority>,
}

impl Default for Plan<'_> {
    fn default() -> Self {
        Plan {
            domain: "a.example",
            accounts: &[],
            s2s: "",
            port: 0,
            more: "",
            certificate: None,
            trusts: None,
        }
    }
}

impl Server {
    /// Makes the accounts, starts, and is in DNS.
    pub async fn start(dns: &Dns, plan: Plan<'_>) -> Server {
        let server = Server::launch(dns, plan).await;
        server.publish(dns);
        server
    }

    /// Tells DNS where it is, and its rooms.
    pub fn publish(&self, dns: &Dns) {
        let port = self.address("s2s").port();
        dns.serve(self.domain, "xmpp-server", port);
        for service in ["conference", "pubsub"] {
            dns.serve(&format!("{service}.{}", self.domain), "xmpp-server", port);
        }
    }

    pub async fn launch(dns: &Dns, plan: Plan<'_>) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let Plan { domain, accounts, s2s, port, more, certificate, trusts } = plan;
        let mut host = format!("[[host]]\ndomain = \"{domain}\"\n");
        if let Some((authority, flaw)) = certificate {
            let (chain, key) = authority.issue(domain, flaw);
            for (name, pem) in [("certificate", chain), ("key", key)] {
                let file = folder.path().join(name);
                std::fs::write(&file, pem).unwrap();
                host += &format!("{name} = {file:?}\n");
            }
        }
        let ca = trusts.map(|authority| format!("ca = {:?}\n", authority.write(folder.path())));
        let config = format!(
            "hosts = []\ndata_dir = {data:?}\n\
             [listen]\nbytestreams = []\nmedia = [\"127.0.0.1:0\"]\n\
             turn = [\"127.0.0.1:0\"]\nturns = []\nc2s = [\"127.0.0.1:0\"]\nc2s_tls = [\"127.0.0.1:0\"]\n\
             https = []\nhttp = [\"127.0.0.1:0\"]\ncomponents = [\"127.0.0.1:0\"]\n\
             [auth]\nscram_iterations = 4096\n[log]\nlevel = \"info,wello_net=debug\"\n\
             [s2s]\nlisten = [\"127.0.0.1:{port}\"]\nlisten_tls = [\"127.0.0.1:0\"]\n\
             nameserver = \"{nameserver}\"\nprivate_networks = [\"127.0.0.0/8\"]\n{ca}{s2s}\n\
             {more}\n{host}",
            data = folder.path().join("data"),
            nameserver = dns.address,
            ca = ca.unwrap_or_default(),
        );
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        let mut server = Server { folder, domain, process: None, addresses: HashMap::new() };
        for account in accounts {
            let jid = format!("{account}@{domain}");
            let add = server.command(&["user", "add", &jid, "--password", PASSWORD]);
            assert!({ add }.status().await.unwrap().success(), "{jid}");
        }
        server.run().await;
        server
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wello"));
        command.args(args).arg("--config").arg(self.folder.path().join("config.toml"));
        command.current_dir(self.folder.path()).kill_on_drop(true);
        command
    }

    /// What the command says of another domain, and whether it is content.
    pub async fn check(&self, domain: &str) -> (bool, String) {
        let output = self.command(&["check", "domain", domain]).output().await.unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    }

    async fn run(&mut self) {
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

    /// Gives it a new certificate, which it takes at SIGHUP.
    pub fn certify(&self, authority: &Authority) {
        let (chain, key) = authority.issue(self.domain, Flaw::None);
        std::fs::write(self.folder.path().join("certificate"), chain).unwrap();
        std::fs::write(self.folder.path().join("key"), key).unwrap();
        let pid = self.process.as_ref().and_then(Child::id).unwrap();
        let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }

    /// SIGKILL.
    pub async fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().await.unwrap();
    }

    pub fn domain(&self) -> &'static str {
        self.domain
    }

    /// Of a listener, by its name in the configuration.
    pub fn address(&self, listener: &str) -> SocketAddr {
        self.addresses[listener]
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// What went wrong is in the log, which is gone with the folder.
impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of {}\n{}", self.domain, self.log());
        }
    }
}
