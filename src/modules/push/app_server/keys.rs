//! The operator's keys for the services that wake devices.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde::Deserialize;
use thiserror::Error;
use wello_kernel::config::{Config, Push};

use super::jwt::{Signer, from_pem, to_pem};

/// What the configuration names, read and understood.
pub struct Keys {
    pub(super) fcm: Option<ServiceAccount>,
    pub(super) apns: Option<Signer>,
    pub(super) vapid: Signer,
}

/// The parts of a service account's file that are used.
pub(super) struct ServiceAccount {
    pub(super) project: String,
    pub(super) email: String,
    pub(super) token_uri: String,
    pub(super) key: Signer,
}

#[derive(Debug, Error)]
pub enum KeyError {
    #[error("{key}: {path} cannot be read: {error}")]
    Unreadable { key: &'static str, path: PathBuf, error: io::Error },
    #[error("{key}: {path} is not {expected}")]
    Unusable { key: &'static str, path: PathBuf, expected: &'static str },
    #[error("data_dir: {path} cannot be written: {error}")]
    Unwritable { path: PathBuf, error: io::Error },
}

/// In the data directory. Browsers are subscribed to this key: with another one they must
/// subscribe anew.
const VAPID: &str = "vapid.key";
const SERVICE_ACCOUNT: &str = "the JSON key file of a service account";
const P256: &str = "a PEM file with a private key for P-256 (PKCS#8)";

impl Keys {
    /// Reads the keys; makes the one for Web Push where there is none. Blocks on files.
    pub fn open(config: &Config) -> Result<Keys, KeyError> {
        let (fcm, apns) = read_configured(&config.push)?;
        let path = config.data_dir.join(VAPID);
        let vapid = match read(VAPID, &path) {
            Err(KeyError::Unreadable { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
                make_vapid(&path)?
            }
            text => p256("data_dir", &path, &text?)?,
        };
        Ok(Keys { fcm, apns, vapid })
    }

    /// Whether the keys that the configuration names can be used. Changes nothing; blocks on files.
    pub fn check(config: &Config) -> Result<(), KeyError> {
        read_configured(&config.push)?;
        let path = config.data_dir.join(VAPID);
        match path.exists() {
            true => p256("data_dir", &path, &read("data_dir", &path)?).map(|_| ()),
            false => Ok(()),
        }
    }
}

type Configured = (Option<ServiceAccount>, Option<Signer>);

fn read_configured(config: &Push) -> Result<Configured, KeyError> {
    let fcm = config.fcm.as_ref().map(|fcm| service_account(&fcm.service_account)).transpose()?;
    let apns = config.apns.as_ref().map(|apns| {
        let key = "push.apns.key";
        p256(key, &apns.key, &read(key, &apns.key)?)
    });
    Ok((fcm, apns.transpose()?))
}

fn read(key: &'static str, path: &Path) -> Result<String, KeyError> {
    std::fs::read_to_string(path).map_err(|error| {
        let path = path.to_owned();
        KeyError::Unreadable { key, path, error }
    })
}

fn p256(key: &'static str, path: &Path, text: &str) -> Result<Signer, KeyError> {
    let signer = from_pem(text).and_then(|der| Signer::es256(&der).ok());
    signer.ok_or(KeyError::Unusable { key, path: path.to_owned(), expected: P256 })
}

#[derive(Deserialize)]
struct AccountFile {
    project_id: String,
    client_email: String,
    token_uri: String,
    private_key: String,
}

fn service_account(path: &Path) -> Result<ServiceAccount, KeyError> {
    const KEY: &str = "push.fcm.service_account";
    let text = read(KEY, path)?;
    let unusable =
        || KeyError::Unusable { key: KEY, path: path.to_owned(), expected: SERVICE_ACCOUNT };
    let file: AccountFile = serde_json::from_str(&text).map_err(|_| unusable())?;
    let der = from_pem(&file.private_key).ok_or_else(unusable)?;
    Ok(ServiceAccount {
        project: file.project_id,
        email: file.client_email,
        token_uri: file.token_uri,
        key: Signer::rs256(&der).map_err(|_| unusable())?,
    })
}

fn make_vapid(path: &Path) -> Result<Signer, KeyError> {
    let unwritable = |error| KeyError::Unwritable { path: path.to_owned(), error };
    let no_key = || unwritable(io::Error::other("no key could be made"));
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| no_key())?;
    let der = key.to_pkcs8v1().map_err(|_| no_key())?;
    let mut options = OpenOptions::new();
    let mut file =
        options.write(true).create_new(true).mode(0o600).open(path).map_err(unwritable)?;
    file.write_all(to_pem(der.as_ref()).as_bytes()).map_err(unwritable)?;
    file.sync_all().map_err(unwritable)?;
    Ok(Signer::Es256(key))
}
