//! Uploaded files: they lie in a folder beside the export, which says what they are.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use futures_util::StreamExt;
use wello_kernel::files::Files;
use wello_store::Upload;

use super::{Export, PAGE};
use crate::transfer::uploads::manifest;

/// A folder that is made when the first file comes.
pub(super) struct Folder {
    path: PathBuf,
    name: String,
    is_made: bool,
}

impl Folder {
    pub(super) fn beside(export: &Path) -> anyhow::Result<Folder> {
        let name = export.file_name().and_then(|name| name.to_str());
        let name = format!("{}.uploads", name.context("the name of a file is missing")?);
        let path = export.with_file_name(&name);
        if path.exists() {
            bail!("{} exists already: name a new file", path.display());
        }
        Ok(Folder { path, name, is_made: false })
    }

    /// A new file that only its owner can read.
    fn create(&mut self, name: &str) -> anyhow::Result<File> {
        if !self.is_made {
            DirBuilder::new().mode(0o700).create(&self.path)?;
            self.is_made = true;
        }
        let path = self.path.join(name);
        Ok(OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?)
    }

    pub(super) fn remove(&self) {
        if self.is_made {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

impl Export<'_> {
    pub(super) async fn uploads(&mut self, account: &str) -> anyhow::Result<()> {
        let mut after = String::new();
        loop {
            let page = self.store.uploads.of_account(account, &after, PAGE).await?;
            for upload in &page {
                self.upload(upload).await?;
            }
            match page.last() {
                Some(last) => after.clone_from(&last.token),
                None => return Ok(()),
            }
        }
    }

    async fn upload(&mut self, upload: &Upload) -> anyhow::Result<()> {
        let Some(content) = &upload.content else { return Ok(()) };
        let file = self.folder.create(&upload.token)?;
        if let Err(error) = copy(&self.files, upload, file).await {
            eprintln!("{}: {} of {}: {error:#}", self.folder.name, upload.token, upload.account);
            self.counts.missing += 1;
            return Ok(());
        }
        let href = format!("{}/{}", self.folder.name, upload.token);
        self.element(&manifest(upload, &content.hash, &href))?;
        self.counts.files += 1;
        Ok(())
    }
}

async fn copy(files: &Files, upload: &Upload, mut file: File) -> anyhow::Result<()> {
    let Some(content) = &upload.content else { return Ok(()) };
    let mut pieces = files.read(content, 0..upload.size).await?;
    while let Some(piece) = pieces.next().await {
        file.write_all(&piece?)?;
    }
    Ok(file.sync_all()?)
}
