//! A log whose last file was cut at every byte of its tail: what was synced is there, without hole.

use std::fs;
use std::path::{Path, PathBuf};

use axp_raft_store::{EngineKind, Store, StoreConfig};
use openraft::RaftLogReader as _;
use openraft::storage::RaftLogStorage as _;

use crate::kv::{append, close, config, engine, entry, open};

const SYNCED: u64 = 6;
const MORE: u64 = 3;

/// A directory tree in memory, files without the zeros at their end.
struct Tree(Vec<(PathBuf, Vec<u8>, u64)>);

impl Tree {
    fn read(root: &Path) -> Self {
        let mut files = Vec::new();
        let mut folders = vec![root.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for item in fs::read_dir(folder).unwrap() {
                let path = item.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let mut bytes = fs::read(&path).unwrap();
                let length = bytes.len() as u64;
                bytes.truncate(used(&bytes));
                files.push((path.strip_prefix(root).unwrap().to_path_buf(), bytes, length));
            }
        }
        Self(files)
    }

    /// Writes it out, with one file cut at `cut`; cut off, or followed by zeros.
    fn write(&self, root: &Path, victim: &Path, cut: usize, zeros: u64) {
        for (path, bytes, length) in &self.0 {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let (bytes, length) = match path.ends_with(victim) {
                true => (&bytes[..cut.min(bytes.len())], cut as u64 + zeros),
                false => (&bytes[..], *length),
            };
            fs::write(&path, bytes).unwrap();
            fs::File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
        }
    }
}

fn used(mut bytes: &[u8]) -> usize {
    // Whole blocks of zeros first, by comparing memory: files are preallocated.
    const BLOCK: usize = 64 * 1024;
    while let Some((rest, [0, ..])) = bytes.split_last_chunk::<BLOCK>()
        && bytes[rest.len()..] == [0; BLOCK]
    {
        bytes = rest;
    }
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// In memory where there is such a place: the cut is ours, a real disk would only make it slow.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Opens what is left and reads the log; answers how many entries there are.
async fn recovered(config: &StoreConfig) -> u64 {
    let store = Store::open(config).unwrap();
    let mut group = open(&store, 1);
    let entries = group.log.get_log_reader().await.try_get_log_entries(0..).await.unwrap();
    for (index, found) in (0..).zip(&entries) {
        assert_eq!(*found, entry(1, index, &text(index)), "entry {index}");
    }
    let count = entries.len() as u64;
    assert_eq!(group.log.last().map(|last| last.index() + 1), Some(count));
    // And it goes on from there.
    append(&mut group, vec![entry(2, count, "next")]).await.unwrap();
    close(store, vec![group]).await;
    count
}

fn text(index: u64) -> String {
    format!("+key-{index}=value")
}

async fn cut_everywhere(engine: EngineKind, victim: &str, step: usize, zeros: u64) {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), engine);
    let victim = Path::new(victim);
    let file = dir.path().join(victim);

    let store = Store::open(&config).unwrap();
    let mut group = open(&store, 1);
    for index in 0..SYNCED {
        append(&mut group, vec![entry(1, index, &text(index))]).await.unwrap();
    }
    let synced = used(&fs::read(&file).unwrap());
    for index in SYNCED..SYNCED + MORE {
        append(&mut group, vec![entry(1, index, &text(index))]).await.unwrap();
    }
    let full = used(&fs::read(&file).unwrap());
    close(store, vec![group]).await;
    assert!(synced + 3 * 50 < full, "{synced} {full}");

    let tree = Tree::read(dir.path());
    let mut counts = std::collections::BTreeSet::new();
    for cut in (synced..=full).step_by(step).chain([full]) {
        let dir = scratch();
        tree.write(dir.path(), victim, cut, zeros);
        let config = StoreConfig { dir: dir.path().to_path_buf(), ..config.clone() };
        let count = recovered(&config).await;
        assert!(count >= SYNCED, "cut at {cut} of {synced}..{full}: {count} entries");
        counts.insert(count);
    }
    // The cuts did hurt, and the last one did not.
    assert_eq!(
        counts.into_iter().collect::<Vec<_>>(),
        (SYNCED..=SYNCED + MORE).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn cut_off_at_every_byte() {
    let engine = engine();
    let file = if engine == EngineKind::Sled { "log/db" } else { "log/0.jnl" };
    cut_everywhere(engine, file, 1, 0).await;
}

#[tokio::test]
async fn fjall_zeroed_from_every_byte() {
    if engine() == EngineKind::Fjall {
        cut_everywhere(EngineKind::Fjall, "log/0.jnl", 1, 64 * 1024).await;
    }
}
