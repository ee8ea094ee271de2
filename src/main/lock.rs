//! One server for each data_dir: two that serve the same files would hide messages from each
//! other's users.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, bail};

const NAME: &str = "wello.lock";

/// Held while the server lives; the system gives it back however the process ends.
pub struct DataDirLock {
    _file: File,
}

impl DataDirLock {
    /// Takes the lock of a data_dir, which is made when there is none.
    ///
    /// # Errors
    /// When a running server has it; `purpose` says what the caller wants to do.
    pub fn take(data_dir: &Path, purpose: &str) -> anyhow::Result<DataDirLock> {
        create(data_dir)?;
        let mut file = open(data_dir)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "data_dir {} is in use by a running server{}: stop it to {purpose}",
                data_dir.display(),
                holder(&mut file)
            ),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("data_dir {}", data_dir.display()));
            }
        }
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(DataDirLock { _file: file })
    }

    /// Whether a running server has it.
    pub fn is_taken(data_dir: &Path) -> bool {
        let Ok(file) = File::open(data_dir.join(NAME)) else { return false };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }
}

/// Makes the folder; what is in it is nobody else's business.
pub fn create(data_dir: &Path) -> anyhow::Result<()> {
    if data_dir.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let made = builder.recursive(true).create(data_dir);
    made.with_context(|| format!("data_dir {} cannot be made", data_dir.display()))
}

fn open(data_dir: &Path) -> anyhow::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let opened = options.open(data_dir.join(NAME));
    opened.with_context(|| format!("data_dir {} cannot be written to", data_dir.display()))
}

/// Who has it, as far as is known.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(20).read_to_string(&mut text));
    match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(process)) => format!(" (process {process})"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_dir_is_taken_once_and_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("a/data");
        assert!(!DataDirLock::is_taken(&data));
        let lock = DataDirLock::take(&data, "start another").unwrap();
        assert!(DataDirLock::is_taken(&data));
        let refused = DataDirLock::take(&data, "start another").err().unwrap().to_string();
        let process = format!("process {}", std::process::id());
        assert!(refused.contains(&process) && refused.ends_with("stop it to start another"));
        drop(lock);
        assert!(DataDirLock::take(&data, "start another").is_ok());
    }
}
