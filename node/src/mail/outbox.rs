//! Without a mail server: a folder that keeps mail for whoever looks, so that examples work.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::letter::Letter;
use super::{MailError, Mailer};

const FOLDER: &str = "mail-outbox";

#[derive(Debug)]
pub struct Outbox {
    folder: PathBuf,
    most: usize,
}

impl Outbox {
    #[must_use]
    pub fn new(data_dir: &Path, most: usize) -> Self {
        Self { folder: data_dir.join(FOLDER), most }
    }

    async fn write(&self, mail: Letter) -> Result<(), MailError> {
        let (folder, most) = (self.folder.clone(), self.most);
        let bytes = mail.message()?.formatted();
        let name = mail.file_name();
        let written = tokio::task::spawn_blocking(move || put(&folder, &name, &bytes, most));
        let path = written
            .await
            .map_err(|error| MailError::Folder(error.to_string()))?
            .map_err(|error| MailError::Folder(error.to_string()))?;
        tracing::info!(path = %path.display(), "no mail server is set: a mail lies in the outbox");
        Ok(())
    }
}

impl Mailer for Outbox {
    fn send(&self, mail: Letter) -> BoxFuture<'_, Result<(), MailError>> {
        self.write(mail).boxed()
    }
}

/// Writes a file, whole or not at all, and makes room for it.
fn put(folder: &Path, name: &str, bytes: &[u8], most: usize) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let mut known: Vec<PathBuf> = fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|it| it == "eml"))
        .collect();
    // Names begin with the time.
    known.sort();
    let excess = (known.len() + 1).saturating_sub(most);
    for path in known.into_iter().take(excess) {
        fs::remove_file(path)?;
    }
    let (draft, path) = (folder.join(format!("{name}.part")), folder.join(format!("{name}.eml")));
    fs::write(&draft, bytes)?;
    fs::rename(&draft, &path)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_keeps_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["1", "2", "3"] {
            put(folder.path(), name, name.as_bytes(), 2).unwrap();
        }
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["2.eml", "3.eml"]);
    }
}
