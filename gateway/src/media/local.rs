//! Media in a folder of a file system.
//!
//! ```text
//! partial/<random>           being written; synced, then renamed to
//! objects/<folder>/<file>    an object, whole and on disk
//! ```
//!
//! The rename is atomic, and the folder is synced after it: an object that was acknowledged is there
//! after a power loss, and one that was not is not half there.

use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::fs::{self, File, ReadDir};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Content, Error, Listed, Measured, ObjectName, Storage};
use crate::clock;

const PIECE_BYTES: usize = 64 * 1024;
/// No upload takes this long; what is older was left by a process that died.
const PARTIAL_AGE_MAX_MS: i64 = 24 * 60 * 60 * 1000;

#[derive(Debug)]
pub(crate) struct LocalStorage {
    partial: PathBuf,
    objects: PathBuf,
}

impl LocalStorage {
    pub(crate) fn new(directory: &Path) -> Self {
        Self { partial: directory.join("partial"), objects: directory.join("objects") }
    }

    fn folder(&self, name: &ObjectName) -> PathBuf {
        self.objects.join(name.folder())
    }

    fn path(&self, name: &ObjectName) -> PathBuf {
        self.folder(name).join(name.file())
    }

    /// Files that nobody writes any more.
    async fn tidy(&self) -> Result<(), Error> {
        let Some(mut entries) = read_dir(&self.partial).await? else { return Ok(()) };
        let oldest = clock::now_ms() - PARTIAL_AGE_MAX_MS;
        while let Some(entry) = entries.next_entry().await? {
            if modified_ms(&entry).await?.is_some_and(|at| at < oldest) {
                remove(&entry.path()).await?;
            }
        }
        Ok(())
    }
}

/// A file that goes away unless it is kept, also when its writer is dropped at an await.
#[derive(Debug)]
struct Partial(Option<PathBuf>);

impl Partial {
    async fn keep_as(mut self, path: &Path) -> io::Result<()> {
        if let Some(partial) = self.0.as_ref() {
            fs::rename(partial, path).await?;
            self.0 = None;
        }
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            // Only a name is removed: there is nothing to wait for. What fails is tidied up later.
            std::fs::remove_file(path).ok();
        }
    }
}

#[tonic::async_trait]
impl Storage for LocalStorage {
    async fn put(&self, name: &ObjectName, source: &mut Measured<'_>) -> Result<(), Error> {
        make_dir(&self.partial).await?;
        let random: u128 = rand::random();
        let path = self.partial.join(format!("{random:032x}"));
        let partial = Partial(Some(path.clone()));
        let mut file = File::create_new(&path).await?;
        while let Some(piece) = source.next().await.map_err(Error::Refused)? {
            file.write_all(&piece).await?;
        }
        file.flush().await?;
        file.sync_all().await?;
        let folder = self.folder(name);
        make_dir(&folder).await?;
        partial.keep_as(&self.path(name)).await?;
        sync_dir(&folder).await?;
        Ok(())
    }

    async fn get(&self, name: &ObjectName) -> Result<Option<Content>, Error> {
        let file = match File::open(self.path(name)).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let size_bytes = file.metadata().await?.len();
        let body = stream::try_unfold(file, |mut file| async move {
            let piece = read_piece(&mut file).await?;
            Ok((!piece.is_empty()).then_some((piece, file)))
        });
        Ok(Some(Content { size_bytes, body: body.boxed() }))
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), Error> {
        Ok(remove(&self.path(name)).await?)
    }

    fn list(&self) -> BoxStream<'_, Result<Listed, Error>> {
        let start = async {
            self.tidy().await?;
            let walk = Walk { folders: read_dir(&self.objects).await?, folder: None };
            Ok(stream::try_unfold(walk, |mut walk| async move {
                Ok(walk.next().await?.map(|listed| (listed, walk)))
            }))
        };
        stream::once(start)
            .flat_map(|walk: Result<_, Error>| match walk {
                Ok(walk) => walk.boxed(),
                Err(error) => stream::once(async { Err(error) }).boxed(),
            })
            .boxed()
    }
}

/// A walk through all folders, one entry at a time.
struct Walk {
    folders: Option<ReadDir>,
    folder: Option<(String, ReadDir)>,
}

impl Walk {
    async fn next(&mut self) -> Result<Option<Listed>, Error> {
        let Some(folders) = &mut self.folders else { return Ok(None) };
        loop {
            if let Some((folder, files)) = &mut self.folder {
                let Some(entry) = files.next_entry().await? else {
                    self.folder = None;
                    continue;
                };
                let file = entry.file_name();
                // Whatever has another name is none of ours.
                let name = file.to_str().and_then(|file| ObjectName::new(folder, file));
                if let (Some(name), Some(stored_at_ms)) = (name, modified_ms(&entry).await?) {
                    return Ok(Some(Listed { name, stored_at_ms }));
                }
                continue;
            }
            let Some(entry) = folders.next_entry().await? else { return Ok(None) };
            if let Ok(name) = entry.file_name().into_string()
                && entry.file_type().await?.is_dir()
            {
                self.folder = read_dir(&entry.path()).await?.map(|files| (name, files));
            }
        }
    }
}

async fn read_piece(file: &mut File) -> io::Result<Bytes> {
    let mut piece = BytesMut::with_capacity(PIECE_BYTES);
    while piece.len() < PIECE_BYTES && file.read_buf(&mut piece).await? > 0 {}
    Ok(piece.freeze())
}

/// Makes a folder whose name survives a power loss.
async fn make_dir(path: &Path) -> io::Result<()> {
    if fs::try_exists(path).await? {
        return Ok(());
    }
    fs::create_dir_all(path).await?;
    // Any of the folders above may be new as well.
    for parent in path.ancestors().skip(1).take(3) {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        sync_dir(parent).await?;
    }
    Ok(())
}

async fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path).await?.sync_all().await
}

async fn read_dir(path: &Path) -> io::Result<Option<ReadDir>> {
    match fs::read_dir(path).await {
        Ok(entries) => Ok(Some(entries)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

async fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// When a file was written; absent when it is gone by now.
async fn modified_ms(entry: &fs::DirEntry) -> io::Result<Option<i64>> {
    let metadata = match entry.metadata().await {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let since = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Some(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;

    use super::super::conformance;
    use super::*;
    use crate::error::ApiError;

    fn name(file: &str) -> ObjectName {
        ObjectName::new("w", file).unwrap()
    }

    fn source(pieces: Vec<Result<&'static str, ApiError>>) -> Measured<'static> {
        let pieces = pieces.into_iter().map(|piece| piece.map(|text| Bytes::from(text.as_bytes())));
        Measured::new(stream::iter(pieces.collect::<Vec<_>>()).boxed(), 10)
    }

    async fn files(storage: &LocalStorage) -> Vec<String> {
        let listed: Vec<Listed> = storage.list().try_collect().await.unwrap();
        let mut names: Vec<_> = listed.into_iter().map(|it| it.name.to_string()).collect();
        names.sort();
        names
    }

    fn partial(storage: &LocalStorage) -> usize {
        std::fs::read_dir(&storage.partial).map_or(0, Iterator::count)
    }

    #[tokio::test]
    async fn it_is_a_storage() {
        let dir = tempfile::tempdir().unwrap();
        let storage = LocalStorage::new(&dir.path().join("deep/media"));
        conformance::all(&storage).await;
        assert_eq!(partial(&storage), 0);
    }

    #[tokio::test]
    async fn a_half_upload_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let storage = LocalStorage::new(dir.path());
        let mut cut = source(vec![Ok("abc"), Err(ApiError::bad_request("the body ended early"))]);
        assert!(matches!(storage.put(&name("1"), &mut cut).await, Err(Error::Refused(_))));
        let mut long = source(vec![Ok("0123456789"), Ok("x")]);
        assert!(matches!(storage.put(&name("1"), &mut long).await, Err(Error::Refused(_))));
        assert_eq!(files(&storage).await, [] as [&str; 0]);
        assert_eq!(partial(&storage), 0);
    }

    #[tokio::test]
    async fn a_dropped_upload_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let storage = LocalStorage::new(dir.path());
        let pieces = stream::iter([Ok(Bytes::from_static(b"abc"))]).chain(stream::pending());
        let mut endless = Measured::new(pieces.boxed(), 10);
        let object = name("1");
        let put = storage.put(&object, &mut endless);
        let waited = tokio::time::timeout(std::time::Duration::from_millis(200), put).await;
        assert!(waited.is_err(), "it waits for more");
        assert_eq!(partial(&storage), 0);
        assert_eq!(files(&storage).await, [] as [&str; 0]);
    }
}
