//! What every engine promises, checked on each.

use std::sync::{Mutex, PoisonError};

use super::*;
use crate::engine::sim::Sim;

const TUNING: Tuning =
    Tuning { cache_bytes: 1024 * 1024, write_buffer_bytes: 1024 * 1024, chained: false };

/// One database of sled at a time: its lock is the whole process's, and closing one while another is
/// written to can wait for ever (docs/adr/0001).
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn on_each(test: impl Fn(&str, Arc<dyn Engine>, &Path)) {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for kind in [EngineKind::Fjall, EngineKind::Sled] {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(kind, &dir.path().join("engine"), TUNING).unwrap();
        test(&kind.to_string(), engine, &dir.path().join("spool"));
    }
    let dir = tempfile::tempdir().unwrap();
    test("sim", Sim::new(), &dir.path().join("spool"));
}

fn puts(pairs: &[(&'static str, &'static str)]) -> Batch {
    let mut batch = Batch::default();
    for (key, value) in pairs {
        batch.put(*key, *value);
    }
    batch
}

type Visitor<'a> = &'a dyn Fn(&mut Visit<'_>) -> Result<(), Error>;

fn collect(scan: Visitor<'_>) -> Vec<String> {
    let mut found = Vec::new();
    scan(&mut |key, value| {
        let (key, value) = (String::from_utf8_lossy(key), String::from_utf8_lossy(value));
        found.push(format!("{key}={value}"));
        ControlFlow::Continue(())
    })
    .unwrap();
    found
}

#[test]
fn of_several_changes_to_a_key_the_last_counts() {
    on_each(|name, engine, _| {
        let mut batch = puts(&[("a", "1"), ("b", "1")]);
        batch.delete("a");
        batch.put("a", "2");
        batch.put("b", "2");
        batch.delete("b");
        batch.put("c", "1");
        batch.put("c", "2");
        assert_eq!((batch.len(), batch.is_empty()), (8, false));
        engine.write(batch).unwrap();
        let all = collect(&|visit| engine.scan(b"a", b"z", visit));
        assert_eq!(all, ["a=2", "c=2"], "{name}");
        assert_eq!(engine.get(b"b").unwrap(), None, "{name}");
    });
}

#[test]
fn the_last_change_counts_after_a_restart_too() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for kind in [EngineKind::Fjall, EngineKind::Sled] {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(kind, dir.path(), TUNING).unwrap();
        let mut batch = Batch::default();
        batch.delete("a");
        batch.put("a", "1");
        batch.put("b", "1");
        batch.delete("b");
        engine.write(batch).unwrap();
        engine.sync().unwrap();
        drop(engine);
        let engine = open(kind, dir.path(), TUNING).unwrap();
        assert_eq!(collect(&|visit| engine.scan(b"a", b"z", visit)), ["a=1"], "{kind}");
    }
}

#[test]
fn a_scan_covers_its_range_and_stops_when_told() {
    on_each(|name, engine, _| {
        engine.write(puts(&[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")])).unwrap();
        let range = collect(&|visit| engine.scan(b"b", b"d", visit));
        assert_eq!(range, ["b=2", "c=3"], "{name}");
        let back = collect(&|visit| engine.scan_back(b"b", b"d", visit));
        assert_eq!(back, ["c=3", "b=2"], "{name}");
        let mut seen = 0;
        engine
            .scan(b"a", b"z", &mut |_, _| {
                seen += 1;
                if seen == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .unwrap();
        assert_eq!(seen, 2, "{name}");
    });
}

#[test]
fn a_view_does_not_move() {
    on_each(|name, engine, spool| {
        engine.write(puts(&[("a", "1"), ("b", "1"), ("c", "1"), ("x", "1")])).unwrap();
        let view = engine.view(b"a", b"d", spool).unwrap();
        let mut batch = puts(&[("a", "2"), ("aa", "2")]);
        batch.delete("b");
        engine.write(batch).unwrap();
        assert_eq!(collect(&|visit| view.scan(b"a", visit)), ["a=1", "b=1", "c=1"], "{name}");
        assert_eq!(collect(&|visit| view.scan(b"aa", visit)), ["b=1", "c=1"], "{name}");
        assert_eq!(collect(&|visit| view.scan(b"c", visit)), ["c=1"], "{name}");
        drop(view);
        assert!(!spool.exists(), "{name} leaves its spool behind");
        // And the next one is of now.
        let view = engine.view(b"a", b"d", spool).unwrap();
        assert_eq!(collect(&|visit| view.scan(b"a", visit)), ["a=2", "aa=2", "c=1"], "{name}");
    });
}

#[test]
fn names_of_engines_are_read() {
    for kind in [EngineKind::Fjall, EngineKind::Sled] {
        assert_eq!(kind.to_string().parse::<EngineKind>().unwrap(), kind);
    }
    let error = "rocksdb".parse::<EngineKind>().unwrap_err().to_string();
    assert!(error.contains("rocksdb") && error.contains("fjall and sled"));
}
