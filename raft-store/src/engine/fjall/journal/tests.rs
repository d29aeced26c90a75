//! Damage at every place of a journal: either refused, or a tail that nobody relied on is cut.

use std::fs;
use std::path::Path;

use super::*;
use crate::engine::fjall::Fjall;
use crate::engine::{Batch, Engine as _, Tuning};

const TUNING: Tuning =
    Tuning { cache_bytes: 1024 * 1024, write_buffer_bytes: 16 * 1024 * 1024, chained: true };

/// Batches with these numbers of the last synced one before them; answers the journal's bytes and
/// where each batch ends.
fn journal(synced: &[u64], value_bytes: usize) -> (Vec<u8>, Vec<usize>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0.jnl");
    let mut ends = Vec::new();
    let engine = Fjall::open(dir.path(), TUNING).unwrap();
    for (number, synced) in (1..).zip(synced) {
        let mut batch = Batch::default();
        batch.put(CHAIN_KEY, Chain { number, synced: *synced }.encode());
        batch.put(format!("key-{number}"), vec![u8::try_from(number).unwrap(); value_bytes]);
        engine.write(batch).unwrap();
        engine.sync().unwrap();
        ends.push(used(&path));
    }
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(ends.last().copied().unwrap());
    (bytes, ends)
}

/// Every batch ends with a trailer that is not zero.
fn used(path: &Path) -> usize {
    let mut bytes = Vec::new();
    File::open(path).unwrap().take(1024 * 1024).read_to_end(&mut bytes).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// Whether this byte of a batch belongs to its sequence number, which no checksum covers. A larger
/// one in the last batch does no harm.
fn is_seqno(at: usize) -> bool {
    (5..13).contains(&at)
}

/// Checks a directory with these journals; answers how long the last one is afterwards.
fn checked(journals: &[&[u8]], chained: bool) -> Result<u64, Error> {
    let dir = tempfile::tempdir().unwrap();
    for (number, bytes) in journals.iter().enumerate() {
        fs::write(dir.path().join(format!("{number}.jnl")), bytes).unwrap();
    }
    check(dir.path(), chained)?;
    let last = dir.path().join(format!("{}.jnl", journals.len() - 1));
    Ok(fs::metadata(last).unwrap().len())
}

#[test]
fn a_whole_journal_passes_untouched() {
    let (bytes, ends) = journal(&[0, 1, 2], 40);
    assert_eq!(ends.len(), 3);
    assert_eq!(checked(&[&bytes], true).unwrap(), bytes.len() as u64);
    let mut padded = bytes.clone();
    padded.resize(bytes.len() + 100_000, 0);
    assert_eq!(checked(&[&padded], true).unwrap(), padded.len() as u64);
    check(Path::new("/does/not/exist"), true).unwrap();
}

#[test]
fn every_cut_of_the_tail_keeps_the_batches_before_it() {
    let (bytes, ends) = journal(&[0, 1, 2, 3], 40);
    for cut in 0..bytes.len() {
        let whole = ends.iter().rev().find(|end| **end <= cut).copied().unwrap_or(0);
        assert_eq!(checked(&[&bytes[..cut]], true).unwrap(), whole as u64, "cut at {cut}");
    }
}

#[test]
fn every_flipped_byte_in_the_synced_part_is_refused() {
    let (bytes, ends) = journal(&[0, 1, 2, 3], 40);
    let synced = ends[2];
    for at in 0..synced {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let result = checked(&[&damaged], true);
        assert!(matches!(result, Err(Error::Corrupt(_))), "byte {at}: {result:?}");
    }
    // The last batch: nothing behind it tells whether it had been synced.
    for at in (synced..bytes.len()).filter(|at| !is_seqno(at - synced)) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        assert_eq!(checked(&[&damaged], true).unwrap(), synced as u64, "byte {at}");
    }
}

#[test]
fn an_unsynced_batch_may_be_lost_although_a_later_one_is_there() {
    // Batches 3 and 4 were both written after the sync of 2.
    let (bytes, ends) = journal(&[0, 1, 2, 2], 40);
    for at in (ends[1]..ends[2]).filter(|at| !is_seqno(at - ends[1])) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        assert_eq!(checked(&[&damaged], true).unwrap(), ends[1] as u64, "byte {at}");
    }
}

#[test]
fn a_hole_inside_a_batch_is_a_torn_tail() {
    let (bytes, ends) = journal(&[0, 1], 64 * 1024);
    for at in (ends[0]..ends[1]).step_by(4096) {
        let mut damaged = bytes.clone();
        let end = (at + 4096).min(ends[1]);
        damaged[at..end].fill(0);
        assert_eq!(checked(&[&damaged], true).unwrap(), ends[0] as u64, "hole at {at}");
    }
}

#[test]
fn a_sealed_journal_must_be_whole() {
    let (bytes, ends) = journal(&[0, 1, 2, 3], 40);
    let (sealed, active) = bytes.split_at(ends[1]);
    assert_eq!(checked(&[sealed, active], true).unwrap(), active.len() as u64);
    for at in 0..sealed.len() {
        let mut damaged = sealed.to_vec();
        damaged[at] ^= 0x10;
        let result = checked(&[&damaged, active], true);
        assert!(matches!(result, Err(Error::Corrupt(_))), "byte {at}: {result:?}");
        // Of the state it is enough that what remains is a prefix.
        if !is_seqno(at) && !is_seqno(at.saturating_sub(ends[0])) {
            let result = checked(&[&damaged, active], false);
            assert!(matches!(result, Err(Error::Corrupt(_))), "byte {at}: {result:?}");
        }
    }
    // A batch missing between two journals.
    let result = checked(&[&bytes[..ends[0]], &bytes[ends[1]..]], true);
    assert!(matches!(result, Err(Error::Corrupt(_))), "{result:?}");
    // The first batch of the active journal is damaged, and the next one says it was synced.
    let mut damaged = active.to_vec();
    damaged[5] ^= 0x10;
    assert!(matches!(checked(&[sealed, &damaged], true), Err(Error::Corrupt(_))));
    assert!(matches!(checked(&[&damaged], true), Err(Error::Corrupt(_))));
}

#[test]
fn the_state_falls_back_to_what_is_whole() {
    let (bytes, ends) = journal(&[0, 1, 2, 3], 40);
    for at in (ends[0]..ends[1]).filter(|at| !is_seqno(at - ends[0])) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        assert_eq!(checked(&[&damaged], false).unwrap(), ends[0] as u64, "byte {at}");
    }
}

#[test]
fn fjall_opens_what_was_cut_and_reads_it() {
    let (bytes, ends) = journal(&[0, 1, 2], 64 * 1024);
    let dir = tempfile::tempdir().unwrap();
    drop(Fjall::open(dir.path(), TUNING).unwrap());
    let mut damaged = bytes;
    damaged[ends[1] + 20_000..ends[1] + 24_000].fill(0);
    fs::write(dir.path().join("0.jnl"), damaged).unwrap();
    let engine = Fjall::open(dir.path(), TUNING).unwrap();
    assert!(engine.get(b"key-2").unwrap().is_some());
    assert!(engine.get(b"key-3").unwrap().is_none());
    let chain = engine.get(CHAIN_KEY).unwrap().and_then(|value| Chain::decode(&value));
    assert_eq!(chain, Some(Chain { number: 2, synced: 1 }));
}
