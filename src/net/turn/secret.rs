//! The secret that credentials are made with. It is this server's alone; with another one the
//! credentials that clients have are worth nothing, and they ask again.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use thiserror::Error;
use wello_kernel::clock::random_id;

/// In the data directory.
const FILE: &str = "turn.secret";
/// Shorter ones are not what we wrote.
const SHORTEST: usize = 32;

#[derive(Debug, Error)]
pub enum SecretError {
    #[error("data_dir: {path} cannot be read or written: {error}")]
    Io { path: PathBuf, error: io::Error },
    #[error("data_dir: {0} is damaged: remove it, and the next start makes another")]
    Damaged(PathBuf),
}

/// Reads the secret; makes it where there is none.
pub fn open_secret(data_dir: &Path) -> Result<String, SecretError> {
    let path = data_dir.join(FILE);
    let failed = |error| SecretError::Io { path: path.clone(), error };
    match std::fs::read_to_string(&path) {
        Ok(text) if text.trim().len() >= SHORTEST => Ok(text.trim().to_owned()),
        Ok(_) => Err(SecretError::Damaged(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(&path).map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

fn make(path: &Path) -> io::Result<String> {
    // 240 bits.
    let secret = format!("{}{}", random_id(), random_id());
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(secret.as_bytes())?;
    file.sync_all()?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_made_once_and_for_us_alone() {
        let dir = tempfile::tempdir().unwrap();
        let secret = open_secret(dir.path()).unwrap();
        assert_eq!(open_secret(dir.path()).unwrap(), secret);
        let file = dir.path().join(FILE);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(file, "").unwrap();
        assert!(matches!(open_secret(dir.path()), Err(SecretError::Damaged(_))));
        assert!(matches!(open_secret(Path::new("/no/such")), Err(SecretError::Io { .. })));
    }
}
