//! Debian's Prosody, started on a configuration and data directory of its own.

use std::cell::Cell;
use std::fmt::Write as _;
use std::path::Path;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::{Duration, Instant, sleep};

use super::Account;
use super::ports::{DOMAIN, SECOND_DOMAIN, free};
use super::process::Process;
use crate::client::Endpoint;

const START_LIMIT: Duration = Duration::from_secs(20);
/// Admins are named in the configuration, so their names are laid out beforehand.
const ADMINS: usize = 64;

const MODULES: &str = "\"roster\", \"saslauth\", \"tls\", \"disco\", \"carbons\", \"pep\", \"private\", \
    \"blocklist\", \"vcard4\", \"vcard_legacy\", \"version\", \"uptime\", \"time\", \"ping\", \"mam\", \
    \"csi_simple\", \"admin_adhoc\", \"bosh\", \"websocket\", \"smacks\", \"offline\", \
    \"lastactivity\", \"adhoc\", \"bookmarks\", \"sasl2\", \"sasl2_bind2\", \"sasl2_sm\", \"sasl2_shim\", \
    \"server_contact_info\", \"invites\", \"invites_adhoc\", \"register_ibr\", \"user_account_management\", \"invites_register\"";

/// COMPAT: Debian's mod_sasl2 calls a method that connections have in later versions only.
const SHIM: &str = r#"
module:hook("stream-features", function (event)
	local methods = getmetatable(event.origin.conn).__index;
	methods.ssl_info = methods.ssl_info or function (conn)
		return conn:socket():info();
	end
end, 1000);
"#;

pub(crate) struct Prosody {
    pub(super) endpoint: Endpoint,
    dir: TempDir,
    process: Mutex<Process>,
    admins: Cell<usize>,
}

impl Prosody {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("prosody-conformance").tempdir()?;
        let endpoint = free()?;
        for domain in [DOMAIN, SECOND_DOMAIN] {
            write_certificate(dir.path(), domain)?;
        }
        std::fs::create_dir(dir.path().join("plugins"))?;
        std::fs::write(dir.path().join("plugins/mod_sasl2_shim.lua"), SHIM)?;
        let config = dir.path().join("prosody.cfg.lua");
        std::fs::write(&config, config_text(&endpoint, dir.path()))?;
        let mut command = Command::new("prosody");
        command.arg("--config").arg(&config).arg("-F");
        let process = Process::spawn(&mut command, &dir.path().join("server.log"), false)?;
        let started = Self { endpoint, dir, process: Mutex::new(process), admins: Cell::new(0) };
        started.wait().await?;
        Ok(started)
    }

    async fn wait(&self) -> anyhow::Result<()> {
        let end = Instant::now() + START_LIMIT;
        for port in [self.endpoint.c2s, self.endpoint.c2s_tls, self.endpoint.https] {
            while TcpStream::connect((self.endpoint.host.as_str(), port)).await.is_err() {
                anyhow::ensure!(Instant::now() < end, "Prosody is not up:\n{}", self.log_tail());
                sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// Prosody reads account files as they are, so no command is needed.
    pub(super) fn create_account(&self, account: &mut Account, admin: bool) -> anyhow::Result<()> {
        if admin {
            let n = self.admins.get();
            anyhow::ensure!(n < ADMINS, "too many admins for one run");
            self.admins.set(n + 1);
            account.local = format!("admin{n}");
            account.bare = format!("{}@{}", account.local, account.domain);
        }
        let folder = self.dir.path().join("data").join(encode(&account.domain)).join("accounts");
        std::fs::create_dir_all(&folder)?;
        let text = format!("return {{ [\"password\"] = \"{}\"; }};\n", account.password);
        Ok(std::fs::write(folder.join(format!("{}.dat", encode(&account.local))), text)?)
    }

    pub(super) fn log_tail(&self) -> String {
        self.process.try_lock().map(|p| p.log_tail()).unwrap_or_default()
    }

    pub(super) async fn stop(self) -> Result<(), String> {
        let mut process = self.process.into_inner();
        if !process.is_alive() {
            return Err(format!("Prosody died:\n{}", process.log_tail()));
        }
        process.terminate().await.map(drop)
    }
}

fn write_certificate(dir: &Path, domain: &str) -> anyhow::Result<()> {
    let made = rcgen::generate_simple_self_signed(vec![domain.to_owned()])?;
    std::fs::write(dir.join(format!("{domain}.crt")), made.cert.pem())?;
    Ok(std::fs::write(dir.join(format!("{domain}.key")), made.signing_key.serialize_pem())?)
}

fn config_text(endpoint: &Endpoint, dir: &Path) -> String {
    let dir = dir.display();
    let admins: String = (0..ADMINS).fold(String::new(), |mut out, n| {
        let _ = write!(out, "\"admin{n}@{DOMAIN}\";");
        out
    });
    let mut text = format!(
        "run_as_root = true\nplugin_paths = {{ \"{dir}/plugins\" }}\ndata_path = \"{dir}/data\"\npidfile = \"{dir}/prosody.pid\"\n\
         log = {{ info = \"*console\" }}\nmodules_enabled = {{ {MODULES} }}\n\
         modules_disabled = {{ \"s2s\" }}\nadmins = {{ {admins} }}\n\
         authentication = \"internal_plain\"\nstorage = \"internal\"\narchive_expires_after = \"never\"\n\
         interfaces = {{ \"127.0.0.1\" }}\nc2s_ports = {{ {c2s} }}\nc2s_direct_tls_ports = {{ {tls} }}\n\
         http_ports = {{ {http} }}\nhttps_ports = {{ {https} }}\n\
         http_interfaces = {{ \"127.0.0.1\" }}\nhttps_interfaces = {{ \"127.0.0.1\" }}\n\
         c2s_require_encryption = true\nallow_unencrypted_plain_auth = false\n\
         consider_bosh_secure = true\nallow_registration = true\nregistration_invite_only = true\n\
         allow_user_invites = true\nconsider_websocket_secure = true\n\
         contact_info = {{ abuse = {{ \"mailto:abuse@localhost\" }} }}\n",
        c2s = endpoint.c2s,
        tls = endpoint.c2s_tls,
        http = endpoint.http,
        https = endpoint.https,
    );
    for domain in [DOMAIN, SECOND_DOMAIN] {
        let _ = writeln!(
            text,
            "VirtualHost \"{domain}\"\n  http_host = \"{domain}\"\n\
             ssl = {{ certificate = \"{dir}/{domain}.crt\"; key = \"{dir}/{domain}.key\" }}\n"
        );
    }
    text.insert_str(
        0,
        &format!(
            "https_ssl = {{ certificate = \"{dir}/{DOMAIN}.crt\"; key = \"{dir}/{DOMAIN}.key\" }}\n\
             c2s_direct_tls_ssl = {{ certificate = \"{dir}/{DOMAIN}.crt\"; key = \"{dir}/{DOMAIN}.key\" }}\n"
        ),
    );
    text
}

/// Prosody's file names: everything but letters and digits as %xx.
fn encode(name: &str) -> String {
    name.bytes().fold(String::new(), |mut out, b| {
        if b.is_ascii_alphanumeric() {
            out.push(char::from(b));
        } else {
            let _ = write!(out, "%{b:02x}");
        }
        out
    })
}
