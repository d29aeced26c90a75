//! The file system through the kernel: ordinary calls see ordinary files until the power goes.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use axp_chaos_tests::powerloss::control::CONTROL_FILE;
use axp_chaos_tests::powerloss::{Command, EntryRule, Fault, Mounted, PowerLossDisk, Survival};

/// Mounts a fresh disk, or says loudly why not.
fn mounted(rule: EntryRule) -> Option<(tempfile::TempDir, Mounted)> {
    if let Some(reason) = Mounted::unavailable() {
        eprintln!("\n!!! SKIPPED: power-loss test did not run: {reason} !!!\n");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let mount = Mounted::mount(&PowerLossDisk::new(rule), dir.path()).unwrap();
    Some((dir, mount))
}

fn lose_power(mount: &Mounted) -> String {
    mount.disk.execute(&Command::PowerLoss { survival: Survival::Lose, seed: 1 })
}

#[test]
fn files_behave_and_a_power_loss_takes_what_was_not_synced() {
    let Some((_dir, mount)) = mounted(EntryRule::Strict) else { return };
    let root = mount.path();
    fs::create_dir(root.join("db")).unwrap();
    let path = root.join("db/log");
    let mut file = File::create(&path).unwrap();
    file.write_all(b"first ").unwrap();
    file.sync_data().unwrap();
    File::open(root.join("db")).unwrap().sync_all().unwrap();
    File::open(root).unwrap().sync_all().unwrap();
    file.write_all(b"second").unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"first second");
    assert_eq!(fs::metadata(&path).unwrap().len(), 12);
    drop(file);

    let said = lose_power(&mount);
    assert_eq!(fs::read(&path).unwrap(), b"first ", "{said}");
}

#[test]
fn close_is_not_a_sync_and_o_dsync_is() {
    let Some((_dir, mount)) = mounted(EntryRule::Journaled) else { return };
    let closed = File::create(mount.path().join("closed")).unwrap();
    closed.sync_all().unwrap();
    closed.write_all_at(&[7; 8192], 0).unwrap();
    let before = mount.disk.lock().counters.file_syncs;
    drop(closed);
    assert_eq!(mount.disk.lock().counters.file_syncs, before);

    let mut options = OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, 0o10000);
    let direct = options.write(true).create(true).open(mount.path().join("direct")).unwrap();
    direct.write_all_at(b"durable", 0).unwrap();
    drop(direct);

    lose_power(&mount);
    assert_eq!(fs::read(mount.path().join("closed")).unwrap(), b"");
    assert_eq!(fs::read(mount.path().join("direct")).unwrap(), b"durable");
}

#[test]
fn names_follow_their_rule() {
    let Some((_dir, mount)) = mounted(EntryRule::Strict) else { return };
    let root = mount.path();
    for name in ["kept", "lost"] {
        File::create(root.join(name)).unwrap().sync_all().unwrap();
        if name == "kept" {
            File::open(root).unwrap().sync_all().unwrap();
        }
    }
    fs::rename(root.join("kept"), root.join("renamed")).unwrap();
    lose_power(&mount);
    let names: Vec<_> = fs::read_dir(root).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["kept"]);
}

#[test]
fn the_control_file_takes_orders_and_answers() {
    let Some((_dir, mount)) = mounted(EntryRule::Strict) else { return };
    let control = mount.path().join(CONTROL_FILE);
    fs::write(&control, "fault sync-eio-once a*").unwrap();
    let file = File::create(mount.path().join("abc")).unwrap();
    assert_eq!(file.sync_all().unwrap_err().raw_os_error(), Some(5));
    file.sync_all().unwrap();

    fs::write(&control, "power-loss lose 3").unwrap();
    let mut answer = String::new();
    File::open(&control).unwrap().read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("lost 0 writes, 0 bytes and 1 entries"), "{answer}");
    assert!(fs::write(&control, "dance").is_err());
    assert!(!mount.path().join("abc").exists());
}

#[test]
fn a_slow_sync_takes_its_time_and_reads_go_on() {
    let Some((_dir, mount)) = mounted(EntryRule::Strict) else { return };
    let delay = Duration::from_millis(300);
    mount.disk.lock().faults.add(Fault::SlowSync(delay), "slow");
    let slow = File::create(mount.path().join("slow")).unwrap();
    fs::write(mount.path().join("other"), b"x").unwrap();
    let started = Instant::now();
    let syncing = std::thread::spawn(move || slow.sync_all());
    while mount.disk.lock().faults.hits == 0 {
        assert!(started.elapsed() < Duration::from_secs(10), "the sync never came");
        std::thread::yield_now();
    }
    assert_eq!(fs::read(mount.path().join("other")).unwrap(), b"x");
    assert!(!syncing.is_finished(), "the read waited for the sync");
    syncing.join().unwrap().unwrap();
    assert!(started.elapsed() >= delay);
}

#[test]
fn a_full_disk_says_so() {
    let Some((_dir, mount)) = mounted(EntryRule::Strict) else { return };
    let file = File::create(mount.path().join("f")).unwrap();
    file.write_all_at(&[1; 100], 0).unwrap();
    mount.disk.execute(&Command::Fault { fault: Fault::DiskFull, pattern: "*".to_owned() });
    assert_eq!(file.write_all_at(&[1; 100], 50).unwrap_err().raw_os_error(), Some(28));
    file.write_all_at(&[2; 100], 0).unwrap();
    assert_eq!(File::create(mount.path().join("g")).unwrap_err().raw_os_error(), Some(28));
    mount.disk.execute(&Command::Heal);
    file.write_all_at(&[1; 100], 50).unwrap();
}
