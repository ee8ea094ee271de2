//! Looks at files, the database and ports.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use wello_kernel::config::{Apns, Config};
use wello_modules::push::app_server::Keys;
use wello_net::listener::{ListenOptions, Listener};
use wello_net::tls::{
    CertificateFiles, CertificateStore, HostName, HostTls, TlsOptions, acme_file, roots_from_file,
};
use wello_store::{Location, Store, StoreError};

use super::finding::Finding;

/// Before a certificate ends: time to do something about it.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);
/// A database that does not answer within it is not reached.
const TIMEOUT: Duration = Duration::from_secs(10);

pub fn data_dir(path: &Path) -> Finding {
    let shown = path.display();
    let about = match std::fs::metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Finding::ok("data_dir", format!("{shown} will be made at the first start"));
        }
        Err(error) => return Finding::error("data_dir", format!("{shown}: {error}")),
    };
    if !about.is_dir() {
        return Finding::error("data_dir", format!("{shown} is no folder: name another"));
    }
    // Made and gone again; the rights alone do not tell (read-only file systems, access lists).
    let probe = path.join(format!(".wello-check-{}", std::process::id()));
    let written = std::fs::write(&probe, "").and_then(|()| std::fs::remove_file(&probe));
    if let Err(error) = written {
        let mend = "run as the user of the server, or chown it";
        return Finding::error(
            "data_dir",
            format!("{shown} cannot be written to ({error}): {mend}"),
        );
    }
    match about.permissions().mode() & 0o077 {
        0 => Finding::ok("data_dir", shown.to_string()),
        _ => Finding::warning("data_dir", format!("others can look into {shown}: chmod 700 it")),
    }
}

pub async fn storage(config: &Config) -> Finding {
    let place = match Location::parse(&config.storage.url, &config.data_dir) {
        Ok(place) => place,
        Err(error) => return Finding::error("storage", format!("storage.url: {error}")),
    };
    let looking = Store::schema(&config.storage.url, &config.data_dir);
    let Ok(schema) = tokio::time::timeout(TIMEOUT, looking).await else {
        return Finding::error("storage", format!("{place} does not answer: see storage.url"));
    };
    match schema {
        Ok(None) => Finding::ok("storage", format!("{place} will be made at the first start")),
        Ok(Some((found, known))) if found < known => Finding::ok(
            "storage",
            format!(
                "{place}, schema {found}: the next start brings it to {known}; back it up before"
            ),
        ),
        Ok(Some((found, known))) if found > known => {
            let error = StoreError::NewerSchema { found, known };
            Finding::error("storage", format!("{place}: {error}"))
        }
        Ok(Some((found, _))) => Finding::ok("storage", format!("{place}, schema {found}")),
        Err(error) => Finding::error("storage", format!("{place}: {error}")),
    }
}

pub fn certificates(config: &Config) -> Vec<Finding> {
    config.domains().into_iter().map(|domain| certificate(config, domain)).collect()
}

fn certificate(config: &Config, domain: &str) -> Finding {
    let host = config.host.iter().find(|host| host.domain == domain);
    let files = host.and_then(|host| {
        let (certificate, key) = (host.certificate.clone()?, host.key.clone()?);
        Some(CertificateFiles { certificate, key })
    });
    let acme = HostName::new(domain).map(|host| acme_file(&config.data_dir, &host));
    let acme = acme.filter(|file| config.acme.enabled && file.exists());
    let obtained = acme.map(|file| CertificateFiles { certificate: file.clone(), key: file });
    let Some(files) = files.or(obtained) else {
        return match config.acme.enabled {
            true => {
                Finding::note("certificate", format!("{domain}: ACME has not obtained one yet"))
            }
            false => Finding::warning(
                "certificate",
                format!(
                    "{domain}: self-signed, clients will warn: set acme.enabled = true, or \
                     certificate and key in a [[host]] table"
                ),
            ),
        };
    };
    let options = TlsOptions {
        data_dir: config.data_dir.clone(),
        hosts: vec![HostTls { domain: domain.to_owned(), files: Some(files), acme: false }],
        client_certificates: false,
        tls12: true,
    };
    let now = SystemTime::now();
    let store = match CertificateStore::open(options, now) {
        Ok(store) => store,
        Err(errors) => {
            let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
            return Finding::error("certificate", all.join("; "));
        }
    };
    let Some(found) = store.host(domain) else {
        return Finding::error("certificate", format!("{domain}: none"));
    };
    let days = found.expires().duration_since(now).unwrap_or_default().as_secs() / 86_400;
    match found.problem() {
        Some(problem) => Finding::error("certificate", problem.to_string()),
        None if found.expires() < now + SOON => Finding::warning(
            "certificate",
            format!("{domain}: ends in {days} days: renew it, then reload the server (SIGHUP)"),
        ),
        None => Finding::ok("certificate", format!("{domain}: good for {days} days")),
    }
}

/// What wakes devices. Reads the keys without making any.
pub fn push(config: &Config) -> Vec<Finding> {
    if !config.push.app_server {
        return vec![Finding::note("push", "the app server is off: push.app_server")];
    }
    let push = &config.push;
    let mut findings = match Keys::check(config) {
        Ok(()) => {
            let fcm = push.fcm.as_ref().map(|_| "FCM");
            let apns = push.apns.as_ref().map(|_| "APNs");
            let all: Vec<&str> =
                ["Web Push", "UnifiedPush"].into_iter().chain(fcm).chain(apns).collect();
            vec![Finding::ok("push", format!("wakes devices by {}", all.join(", ")))]
        }
        Err(error) => vec![Finding::error("push", error.to_string())],
    };
    findings.extend(push.root.as_ref().and_then(|file| {
        let error = roots_from_file(file).err()?;
        Some(Finding::error("push", format!("push.root: {error}")))
    }));
    let configured = [
        push.fcm.as_ref().map(|fcm| &fcm.service_account),
        push.apns.as_ref().map(|apns| &apns.key),
    ];
    findings.extend(configured.into_iter().flatten().filter_map(|file| {
        let mode = std::fs::metadata(file).ok()?.permissions().mode();
        let open = mode & 0o007 != 0;
        open.then(|| {
            let mend = format!("everybody can read {}: chmod 640 it", file.display());
            Finding::warning("push", mend)
        })
    }));
    findings.extend(push.apns.as_ref().and_then(misnamed));
    findings
}

/// Both ids have ten characters at Apple, and are easily mixed up with other things.
fn misnamed(apns: &Apns) -> Option<Finding> {
    let fits = |id: &str| id.len() == 10 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let keys = [("key_id", &apns.key_id), ("team_id", &apns.team_id)];
    let (key, id) = keys.into_iter().find(|(_, id)| !fits(id))?;
    let why = format!("push.apns.{key}: {id:?} is not one of Apple's ids, such as ABC123DEFG");
    Some(Finding::warning("push", why))
}

pub fn ports(config: &Config, running: bool) -> Vec<Finding> {
    let listen = &config.listen;
    let all = [&listen.c2s, &listen.c2s_tls, &listen.https, &listen.http, &listen.bytestreams]
        .into_iter()
        .chain([&listen.turn, &listen.turns]);
    if all.clone().all(Vec::is_empty) {
        let mend = "every list under [listen] is empty: nobody can connect";
        return vec![Finding::error("port", mend)];
    }
    let s2s = [&config.s2s.listen, &config.s2s.listen_tls];
    let s2s = s2s.into_iter().filter(|_| config.s2s.enabled);
    let tcp = all.chain(s2s).flatten().map(|address| {
        let bound = Listener::bind(*address, ListenOptions::default());
        port(&address.to_string(), bound.map(drop).map_err(|error| error.to_string()), running)
    });
    let udp = listen.turn.iter().map(|address| {
        let bound = wello_net::turn::try_udp(*address);
        let name = format!("{address}/udp");
        let mend = |error| format!("cannot listen on {name}: {error} (ss -ulnp shows who does)");
        port(&name, bound.map_err(mend), running)
    });
    tcp.chain(udp).collect()
}

fn port(address: &str, bound: Result<(), String>, running: bool) -> Finding {
    match bound {
        Ok(_) if running => Finding::warning(
            "port",
            format!("{address} is free although the server runs: restart it if this was changed"),
        ),
        Ok(_) => Finding::ok("port", format!("{address} is free")),
        Err(_) if running => Finding::ok("port", format!("{address} is in use; the server runs")),
        Err(error) => Finding::error("port", error),
    }
}
