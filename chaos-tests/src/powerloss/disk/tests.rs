use super::*;
use crate::powerloss::Survival;

fn name(text: &str) -> &OsStr {
    OsStr::new(text)
}

fn names(disk: &Disk, dir: u64) -> Vec<String> {
    let list = disk.list(dir).unwrap();
    list.into_iter().map(|(name, _, _)| name.to_string_lossy().into_owned()).collect()
}

fn content(disk: &mut Disk, dir: u64, file: &str) -> Vec<u8> {
    let ino = disk.lookup(dir, name(file)).unwrap().ino;
    disk.read(ino, 0, 1 << 20).unwrap().to_vec()
}

#[test]
fn a_file_needs_its_bytes_and_its_entry_synced() {
    let mut disk = Disk::new(EntryRule::Strict);
    for file in ["both", "bytes-only", "entry-only"] {
        let ino = disk.create(ROOT, name(file), 0o644).unwrap();
        disk.write(ino, 0, file.as_bytes()).unwrap();
        if file != "entry-only" {
            disk.sync(ino).unwrap();
        }
        if file == "both" {
            disk.sync_dir(ROOT).unwrap();
        }
    }
    let before = disk.lookup(ROOT, name("both")).unwrap().ino;
    let lost = disk.lose_power(Survival::Lose, 1);
    assert_eq!(names(&disk, ROOT), ["both"]);
    assert_eq!(content(&mut disk, ROOT, "both"), b"both");
    assert_eq!((lost.entries, lost.bytes), (2, "entry-only".len() as u64));
    // A handle from before finds nothing.
    assert_eq!(disk.read(before, 0, 1).err(), Some(DiskError::NotFound));
}

#[test]
fn a_journal_makes_the_entry_durable_with_the_file() {
    let mut disk = Disk::new(EntryRule::Journaled);
    let dir = disk.mkdir(ROOT, name("d"), 0o755).unwrap();
    let ino = disk.create(dir, name("f"), 0o644).unwrap();
    disk.write(ino, 0, b"x").unwrap();
    disk.sync(ino).unwrap();
    disk.lose_power(Survival::Lose, 1);
    let dir = disk.lookup(ROOT, name("d")).unwrap().ino;
    assert_eq!(content(&mut disk, dir, "f"), b"x");
}

#[test]
fn an_unsynced_unlink_brings_the_file_back() {
    let mut disk = Disk::new(EntryRule::Strict);
    let ino = disk.create(ROOT, name("f"), 0o644).unwrap();
    disk.write(ino, 0, b"old").unwrap();
    disk.sync(ino).unwrap();
    disk.sync_dir(ROOT).unwrap();
    disk.unlink(ROOT, name("f")).unwrap();
    let other = disk.create(ROOT, name("g"), 0o644).unwrap();
    disk.sync(other).unwrap();
    assert_eq!(names(&disk, ROOT), ["g"]);
    disk.lose_power(Survival::Lose, 1);
    assert_eq!(names(&disk, ROOT), ["f"]);
    assert_eq!(content(&mut disk, ROOT, "f"), b"old");
}

#[test]
fn a_synced_unlink_frees_the_bytes_once_nobody_has_it_open() {
    let mut disk = Disk::new(EntryRule::Strict);
    let ino = disk.create(ROOT, name("f"), 0o644).unwrap();
    disk.opened(ino).unwrap();
    disk.write(ino, 0, b"x").unwrap();
    disk.unlink(ROOT, name("f")).unwrap();
    disk.sync_dir(ROOT).unwrap();
    assert_eq!(disk.read(ino, 0, 1), Ok(&b"x"[..]));
    disk.closed(ino);
    disk.sync_dir(ROOT).unwrap();
    assert_eq!(disk.read(ino, 0, 1), Err(DiskError::NotFound));
}

#[test]
fn the_write_temp_sync_rename_idiom_is_atomic() {
    for seed in 0..64 {
        let mut disk = Disk::new(EntryRule::Strict);
        for (round, text) in ["old", "new"].into_iter().enumerate() {
            let ino = disk.create(ROOT, name("tmp"), 0o644).unwrap();
            disk.write(ino, 0, text.as_bytes()).unwrap();
            disk.sync(ino).unwrap();
            disk.rename((ROOT, name("tmp")), (ROOT, name("current")), true).unwrap();
            if round == 0 {
                disk.sync_dir(ROOT).unwrap();
            }
        }
        disk.lose_power(Survival::Torn, seed);
        let left = content(&mut disk, ROOT, "current");
        assert!(left == b"old" || left == b"new", "seed {seed}: {left:?}");
    }
}

#[test]
fn a_failed_sync_and_a_full_disk_hit_the_files_they_name() {
    let mut disk = Disk::new(EntryRule::Strict);
    let dir = disk.mkdir(ROOT, name("db"), 0o755).unwrap();
    let log = disk.create(dir, name("0.jnl"), 0o644).unwrap();
    let other = disk.create(dir, name("state"), 0o644).unwrap();
    disk.write(log, 0, b"abc").unwrap();
    disk.faults.add(Fault::SyncFails { once: true }, "db/*.jnl");
    disk.faults.add(Fault::DiskFull, "db/state");
    assert_eq!(disk.sync(other), Ok(()));
    assert_eq!(disk.sync(log), Err(DiskError::Io));
    assert_eq!(disk.sync(log), Ok(()));
    assert_eq!(disk.write(other, 0, b"x"), Err(DiskError::NoSpace));
    assert_eq!(disk.write(log, 3, b"d"), Ok(()));
    assert_eq!(disk.faults.hits, 2);
    disk.faults.clear();
    assert_eq!(disk.write(other, 0, b"x"), Ok(()));
}

#[test]
fn a_lying_sync_loses_what_it_promised() {
    let mut disk = Disk::new(EntryRule::Journaled);
    let ino = disk.create(ROOT, name("f"), 0o644).unwrap();
    disk.write(ino, 0, b"true").unwrap();
    disk.sync(ino).unwrap();
    disk.faults.add(Fault::SyncLies, "*");
    disk.write(ino, 0, b"lies").unwrap();
    assert_eq!(disk.sync(ino), Ok(()));
    disk.lose_power(Survival::Lose, 1);
    assert_eq!(content(&mut disk, ROOT, "f"), b"true");
}

#[test]
fn flips_are_durable_and_seeded() {
    let run = |seed| {
        let mut disk = Disk::new(EntryRule::Journaled);
        let ino = disk.create(ROOT, name("f"), 0o644).unwrap();
        disk.write(ino, 0, &[0; 64]).unwrap();
        disk.sync(ino).unwrap();
        assert_eq!(disk.flip_bits("g*", 3, seed), 0);
        assert_eq!(disk.flip_bits("f*", 3, seed), 3);
        disk.lose_power(Survival::Lose, 0);
        content(&mut disk, ROOT, "f")
    };
    assert_ne!(run(1), vec![0; 64]);
    assert_eq!(run(1), run(1));
}

#[test]
fn a_disk_is_made_whole_again() {
    let mut disk = Disk::new(EntryRule::Journaled);
    let ino = disk.create(ROOT, name("f"), 0o644).unwrap();
    disk.write(ino, 0, b"whole").unwrap();
    let whole = disk.clone();
    disk.flip_bits("f", 3, 1);
    disk.set_len(ino, 2).unwrap();
    let other = disk.create(ROOT, name("g"), 0o644).unwrap();
    disk.restore(whole);
    assert_eq!(content(&mut disk, ROOT, "f"), b"whole");
    assert!(disk.create(ROOT, name("h"), 0o644).unwrap() > other);
}

#[test]
fn directories_refuse_what_they_must() {
    let mut disk = Disk::new(EntryRule::Strict);
    let dir = disk.mkdir(ROOT, name("d"), 0o755).unwrap();
    disk.create(dir, name("f"), 0o644).unwrap();
    assert_eq!(disk.rmdir(ROOT, name("d")), Err(DiskError::NotEmpty));
    assert_eq!(disk.unlink(ROOT, name("d")), Err(DiskError::IsDirectory));
    assert_eq!(disk.create(dir, name("f"), 0o644), Err(DiskError::Exists));
    let file = disk.create(ROOT, name("g"), 0o644).unwrap();
    assert_eq!(disk.create(file, name("h"), 0o644), Err(DiskError::NotDirectory));
    let refused = disk.rename((ROOT, name("g")), (dir, name("f")), false);
    assert_eq!(refused, Err(DiskError::Exists));
    disk.rename((ROOT, name("g")), (dir, name("f")), true).unwrap();
    assert_eq!(disk.path(file), "d/f");
}
