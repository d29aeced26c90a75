//! Checks fjall's journals before fjall opens them, and cuts a torn tail.
//!
//! fjall replays a journal up to the first byte that it cannot read and drops the rest, or refuses
//! to open at all when a batch is complete but its checksum is wrong. Neither is right for a log
//! whose entries were acknowledged: damage in the synced part must stop the replica, and a tail
//! which was never synced must go, whatever shape the power loss gave it. The batches of the log say
//! which is which: each carries its number and the number of the last batch synced before it was
//! written (`keyspace::Chain`). A readable batch behind the damage which says that the damaged one
//! had been synced proves rot. What cannot be told: damage to the very last synced batch. A batch's
//! sequence number is outside fjall's checksum; what matters is that the numbers ascend.
//!
//! The format is that of fjall 3 (version marker `FJL` 3), integers little-endian:
//! start `1 count:u32 seqno:u64`, item `2 type:u8 compression:u8 space:u64 key:u16 value:u32
//! stored:u32 ..`, end `3 xxh3:u64 "FJL\3"`, clear `4 space:u64`.

use std::fs::{self, File};
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use axp_proto::mutant::{self, Mutant};
use xxhash_rust::xxh3::Xxh3;

use crate::error::Error;
use crate::keyspace::{CHAIN_KEY, Chain};

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
/// Sequence numbers ascend, nearly one by one; a larger step is a damaged number.
const SEQNO_STEP_MAX: u64 = 1 << 32;
const TRAILER: [u8; 4] = *b"FJL\x03";

/// Looks through all journals in `dir`; repairs a torn tail, refuses damage before it.
pub(super) fn check(dir: &Path, chained: bool) -> Result<(), Error> {
    if mutant::active(Mutant::TailUnchecked) {
        return Ok(());
    }
    let journals = list(dir)?;
    let mut last = Last::default();
    for (position, path) in journals.iter().enumerate() {
        let sealed = position + 1 < journals.len();
        let found = read_valid(path, chained, &mut last)?;
        let rest = read_rest(path, found)?;
        let Some(rest) = rest else { continue };
        if sealed {
            // A journal is synced before the next one is begun.
            let reason = format!("the sealed journal {} is damaged at {found}", path.display());
            return Err(Error::Corrupt(reason));
        }
        if chained && proves_rot(&rest, last.chain) {
            let reason = format!(
                "{} is damaged at byte {found}, and later batches prove that this part was synced",
                path.display()
            );
            return Err(Error::Corrupt(reason));
        }
        tracing::warn!(journal = %path.display(), kept = found, "cut an unsynced tail");
        cut(path, found)?;
    }
    Ok(())
}

/// The journals by age.
fn list(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", dir)(error)),
    };
    let mut journals = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io("list", dir))?.path();
        let number = path.file_name().and_then(|name| name.to_str());
        let number = number.and_then(|name| name.strip_suffix(".jnl"));
        if let Some(number) = number.and_then(|text| text.parse::<u64>().ok()) {
            journals.push((number, path));
        }
    }
    journals.sort();
    Ok(journals.into_iter().map(|(_, path)| path).collect())
}

/// The last whole batch seen, over all journals.
#[derive(Default)]
struct Last {
    chain: Option<Chain>,
    seqno: Option<u64>,
}

/// Reads batches up to the first that is not whole; answers where that is.
fn read_valid(path: &Path, chained: bool, last: &mut Last) -> Result<u64, Error> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let length = file.metadata().map_err(Error::io("inspect", path))?.len();
    let mut reader = BufReader::with_capacity(256 * 1024, file);
    let mut end = 0;
    while let Some(batch) =
        read_batch(&mut reader, length - end).map_err(Error::io("read", path))?
    {
        match last.seqno.map(|last| batch.seqno.checked_sub(last)) {
            None | Some(Some(1..=SEQNO_STEP_MAX)) => {}
            // A whole batch out of order: it or the one before it was damaged after it was written,
            // since a torn write damages more than this number.
            Some(None | Some(0)) if chained => return Err(out_of_order(path, end)),
            Some(_) => break,
        }
        if let (true, Some(chain)) = (chained, batch.chain) {
            check_follows(path, end, last.chain, chain)?;
            last.chain = Some(chain);
        }
        last.seqno = Some(batch.seqno);
        end += batch.bytes;
    }
    Ok(end)
}

fn out_of_order(path: &Path, at: u64) -> Error {
    Error::Corrupt(format!("{}: the batch at byte {at} is out of order", path.display()))
}

fn check_follows(path: &Path, at: u64, last: Option<Chain>, chain: Chain) -> Result<(), Error> {
    match last {
        Some(last) if chain.number != last.number + 1 => Err(Error::Corrupt(format!(
            "{} goes on at byte {at} with batch {} after batch {}",
            path.display(),
            chain.number,
            last.number
        ))),
        _ => Ok(()),
    }
}

/// What lies behind the last whole batch, unless it is nothing or the zeros of a preallocated file.
fn read_rest(path: &Path, from: u64) -> Result<Option<Vec<u8>>, Error> {
    let read = || -> io::Result<Option<Vec<u8>>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(from))?;
        if is_zero(&mut file)? {
            return Ok(None);
        }
        file.seek(SeekFrom::Start(from))?;
        let mut rest = Vec::new();
        file.read_to_end(&mut rest)?;
        Ok(Some(rest))
    };
    read().map_err(Error::io("read", path))
}

fn is_zero(file: &mut File) -> io::Result<bool> {
    let (mut buffer, zeros) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(true);
        }
        // As one comparison of memory: a preallocated journal is 64 MiB of this.
        if buffer[..count] != zeros[..count] {
            return Ok(false);
        }
    }
}

/// Whether a whole batch behind the damage says that the damaged one had been synced.
fn proves_rot(rest: &[u8], last: Option<Chain>) -> bool {
    let mut at = 0;
    while at < rest.len() {
        let batch = match rest[at] {
            START => read_batch(&mut Cursor::new(&rest[at..]), (rest.len() - at) as u64),
            _ => Ok(None),
        };
        let Ok(Some(batch)) = batch else {
            at += 1;
            continue;
        };
        if let Some(chain) = batch.chain {
            // Without a whole batch before the damage, all we know is that the one just before
            // this one is damaged.
            let damaged = last.map_or(chain.number.saturating_sub(1), |last| last.number + 1);
            if chain.synced >= damaged {
                return true;
            }
        }
        at += usize::try_from(batch.bytes).unwrap_or(1);
    }
    false
}

fn cut(path: &Path, length: u64) -> Result<(), Error> {
    let shorten = || -> io::Result<()> {
        let file = File::options().write(true).open(path)?;
        file.set_len(length)?;
        file.sync_all()
    };
    shorten().map_err(Error::io("cut", path))
}

struct Found {
    bytes: u64,
    seqno: u64,
    chain: Option<Chain>,
}

/// Reads one batch; `None` if there is no whole one here. Errors are those of the disk.
fn read_batch(reader: &mut impl Read, available: u64) -> io::Result<Option<Found>> {
    match try_read_batch(&mut Bounded { reader, left: available, taken: 0 }) {
        Ok(found) => Ok(found),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn try_read_batch(reader: &mut Bounded<'_, impl Read>) -> io::Result<Option<Found>> {
    if reader.array::<1>()? != [START] {
        return Ok(None);
    }
    let count = u32::from_le_bytes(reader.array()?);
    let seqno = u64::from_le_bytes(reader.array()?);
    let mut hash = Xxh3::new();
    let mut chain = None;
    let mut item = Vec::new();
    for _ in 0..count {
        item.clear();
        let Some(found) = read_item(reader, &mut item)? else { return Ok(None) };
        hash.update(&item);
        chain = chain.or(found);
    }
    if reader.array::<1>()? != [END] {
        return Ok(None);
    }
    let checksum = u64::from_le_bytes(reader.array()?);
    let trailer: [u8; 4] = reader.array()?;
    let whole = trailer == TRAILER && checksum == hash.digest();
    Ok(whole.then_some(Found { bytes: reader.taken, seqno, chain }))
}

/// Reads one item into `item` as it is stored; `None` outside if it is none, inside if no chain.
fn read_item(
    reader: &mut Bounded<'_, impl Read>,
    item: &mut Vec<u8>,
) -> io::Result<Option<Option<Chain>>> {
    reader.append(item, 1)?;
    match item[0] {
        CLEAR => {
            reader.append(item, 8)?;
            Ok(Some(None))
        }
        ITEM => {
            reader.append(item, 20)?;
            let key_length = u16::from_le_bytes([item[11], item[12]]);
            let stored = u32::from_le_bytes([item[17], item[18], item[19], item[20]]);
            reader.append(item, u64::from(key_length) + u64::from(stored))?;
            let (key, value) = item[21..].split_at(usize::from(key_length));
            Ok(Some(if key == CHAIN_KEY { Chain::decode(value) } else { None }))
        }
        _ => Ok(None),
    }
}

/// Refuses to read more than the file holds, so that a damaged length costs no memory.
struct Bounded<'a, R> {
    reader: &'a mut R,
    left: u64,
    taken: u64,
}

impl<R: Read> Bounded<'_, R> {
    fn take(&mut self, count: u64) -> io::Result<()> {
        self.left = self.left.checked_sub(count).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.taken += count;
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        self.take(N as u64)?;
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn append(&mut self, into: &mut Vec<u8>, count: u64) -> io::Result<()> {
        self.take(count)?;
        let start = into.len();
        into.resize(start + usize::try_from(count).unwrap_or(usize::MAX), 0);
        self.reader.read_exact(&mut into[start..])
    }
}

#[cfg(test)]
mod tests;
