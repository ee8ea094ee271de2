//! Prosody 0.12 with its internal storage.

use anyhow::Result;
use tokio::process::Command;
use wello_wire::hex;

use super::server::{Federation, Launch, Setup};
use crate::scram::{Keys, Mechanism};

/// `default_iteration_count` of mod_auth_internal_hashed.
const ITERATIONS: u32 = 10_000;

const SALT: &str = "5b1d7a0e-1d3c-4f7e-9a55-0d2c0f9f6d11";

pub(super) fn prepare(setup: &Setup<'_>) -> Result<Launch> {
    write_accounts(setup)?;
    let config = setup.folder.join("prosody.cfg.lua");
    std::fs::write(&config, configuration(setup))?;
    let mut command = Command::new("prosody");
    command.arg("--config").arg(config).arg("-F");
    Ok(Launch { command, ready: None })
}

fn write_accounts(setup: &Setup<'_>) -> Result<()> {
    // As its storage writes names.
    let host = setup.domain.replace('.', "%2e");
    let folder = setup.folder.join("data").join(host).join("accounts");
    std::fs::create_dir_all(&folder)?;
    let Some(first) = setup.accounts.first() else { return Ok(()) };
    // One password and one salt for all, so that one derivation serves all.
    let keys = Keys::derive(setup.mechanism, &first.password, SALT.as_bytes(), ITERATIONS);
    let record = format!(
        "return {{ iteration_count = {ITERATIONS}, salt = \"{SALT}\", stored_key = \"{}\", \
         server_key = \"{}\" }};\n",
        hex::encode(&keys.stored),
        hex::encode(&keys.server),
    );
    for account in setup.accounts {
        std::fs::write(folder.join(format!("{}.dat", account.user)), &record)?;
    }
    Ok(())
}

fn configuration(setup: &Setup<'_>) -> String {
    let hash = match setup.mechanism {
        Mechanism::Sha1 => "SHA-1",
        Mechanism::Sha256 => "SHA-256",
    };
    format!(
        r#"run_as_root = true
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
certificates = "{folder}"
log = {{ error = "{folder}/prosody.log" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
c2s_direct_tls_ports = {{}}
modules_enabled = {{ "roster", "saslauth", "tls", "disco", "ping", "carbons", "smacks", "csi_simple"{archive}{federated} }}
{federation}
authentication = "internal_hashed"
password_hash = "{hash}"
storage = "internal"
archive_expires_after = "never"
storage_archive_item_limit = 10000000
default_archive_policy = true
c2s_require_encryption = true
ssl = {{ certificate = "{certificate}", key = "{key}", cafile = "{authority}" }}
VirtualHost "{domain}"
http_ports = {{}}
https_ports = {{ {https} }}
https_interfaces = {{ "127.0.0.1" }}
https_ssl = {{ certificate = "{certificate}", key = "{key}" }}
http_external_url = "https://{domain}:{https}/"
Component "upload.{domain}" "http_file_share"
http_file_share_size_limit = 2147483648
http_file_share_daily_quota = 1099511627776
http_external_url = "https://{domain}:{https}/"
http_host = "{domain}"
Component "conference.{domain}" "muc"
modules_enabled = {{ {room_archive} }}
"#,
        federated = if setup.federation.is_some() { r#", "dialback", "s2s_bidi""# } else { "" },
        federation = federation(setup),
        domain = setup.domain,
        folder = setup.folder.display(),
        port = setup.port,
        https = setup.https,
        archive = if setup.archive { r#", "mam""# } else { "" },
        room_archive = if setup.archive { r#""muc_mam""# } else { "" },
        authority = setup.certificate.authority.display(),
        certificate = setup.certificate.certificate.display(),
        key = setup.certificate.key.display(),
    )
}

fn federation(setup: &Setup<'_>) -> String {
    let Some(Federation { port, nameserver }) = setup.federation else {
        return r#"modules_disabled = { "s2s" }"#.to_owned();
    };
    format!(
        r#"s2s_ports = {{ {port} }}
s2s_direct_tls_ports = {{}}
s2s_secure_auth = false
limits = {{}}
use_ipv6 = false
unbound = {{ resolvconf = false, hoststxt = false, forward = "{}@{}", options = {{ ["do-not-query-localhost:"] = "no" }} }}"#,
        nameserver.ip(),
        nameserver.port(),
    )
}
