//! Our account with the authority, kept in a file.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use instant_acme::{Account, AccountCredentials, NewAccount};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::tls::write_file;

use super::AcmeOptions;
use super::error::AcmeError;
use super::http_client::SharedClient;

#[derive(Serialize, Deserialize)]
struct AccountFile {
    contact: Vec<String>,
    credentials: AccountCredentials,
}

/// The stored account, brought up to date, or a new one.
pub(super) async fn open(
    options: &AcmeOptions,
    client: SharedClient,
) -> Result<Account, AcmeError> {
    let path = account_file(options);
    let contact: Vec<&str> = options.contact.iter().map(String::as_str).collect();
    let builder = Account::builder_with_http(Box::new(client));
    if let Some(mut stored) = read(&path)? {
        let account = builder.from_credentials(copy(&path, &stored.credentials)?).await?;
        if stored.contact != options.contact {
            account.update_contacts(&contact).await?;
            stored.contact.clone_from(&options.contact);
            write(&path, &stored)?;
        }
        return Ok(account);
    }
    // Whoever switches ACME on agrees to the terms of the authority they chose.
    let new = NewAccount {
        contact: &contact,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let (account, credentials) = builder.create(&new, options.directory.clone(), None).await?;
    write(&path, &AccountFile { contact: options.contact.clone(), credentials })?;
    tracing::info!(account = account.id(), directory = options.directory, "ACME account created");
    Ok(account)
}

/// Gives up an account that the authority does not know (any more).
pub(super) fn forget(options: &AcmeOptions) {
    let path = account_file(options);
    if let Err(error) = fs::remove_file(&path) {
        tracing::warn!(%error, file = %path.display(), "ACME account file not removed");
    }
}

/// Each authority has an account of its own.
fn account_file(options: &AcmeOptions) -> PathBuf {
    let digest = Sha256::digest(&options.directory);
    let id = u64::from_be_bytes([
        digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7],
    ]);
    options.data_dir.join("acme").join(format!("account-{id:016x}.json"))
}

fn read(path: &Path) -> Result<Option<AccountFile>, AcmeError> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| bad(path, &error)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(bad(path, &error)),
    }
}

fn write(path: &Path, file: &AccountFile) -> Result<(), AcmeError> {
    let text = serde_json::to_vec_pretty(file).map_err(|error| bad(path, &error))?;
    Ok(write_file(path, &text, 0o600)?)
}

/// The library's credentials cannot be cloned.
fn copy(path: &Path, credentials: &AccountCredentials) -> Result<AccountCredentials, AcmeError> {
    serde_json::to_value(credentials)
        .and_then(serde_json::from_value)
        .map_err(|error| bad(path, &error))
}

fn bad(path: &Path, reason: &dyn std::fmt::Display) -> AcmeError {
    AcmeError::Account { path: path.to_owned(), reason: reason.to_string() }
}
