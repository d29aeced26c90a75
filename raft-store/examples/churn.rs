//! The churn client of the power-loss tests: appends, acknowledges elsewhere, purges, and later
//! checks that everything acknowledged and not purged is still there.
//!
//! ```text
//! churn write  DIR fjall|sled ACK_FILE [SECONDS]   until killed, or for so many seconds
//! churn verify DIR fjall|sled ACK_FILE             exit 0: all there, 1: something lost or wrong,
//!                                                  2: the store cannot be opened
//! ```
//!
//! `ACK_FILE` lies on a file system that the power loss spares. Its lines are `a GROUP INDEX` (the
//! entries up to it were acknowledged), `p GROUP INDEX` (a purge up to it is about to begin) and
//! `v GROUP TERM` (a vote was acknowledged). `write` continues where an earlier round ended.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use axp_proto::{ids::GroupId, raft};
use axp_raft_store::{
    Applied, Applier, EngineKind, Entry, Error, GroupStore, LogId, Payload, Store, StoreConfig,
    Transaction, TypeConfig, Vote, wire,
};
use bytes::Bytes;
use openraft::entry::EntryPayload;
use openraft::storage::{IOFlushed, RaftLogStorage as _, RaftStateMachine as _};
use openraft::type_config::TypeConfigExt as _;
use openraft::{RaftLogReader as _, StorageHelper};

const GROUPS: u16 = 5;
/// Entries a group keeps when it purges, and after how many it does.
const KEEP: u64 = 300;
const PURGE_EVERY: u64 = 500;

/// Keeps the last payload of each of 64 keys.
#[derive(Debug)]
struct Last;

impl Applier for Last {
    fn apply(
        &self,
        state: &mut Transaction<'_>,
        index: u64,
        entry: &Bytes,
    ) -> Result<Applied, Error> {
        state.put(format!("key-{}", index % 64), entry.clone());
        Ok(Applied::default())
    }

    fn committed(&self, _index: u64) {}

    fn restored(&self, _index: u64) {}
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            println!("churn: {error:#}");
            ExitCode::from(1)
        }
    }
}

struct Args {
    config: StoreConfig,
    acks: PathBuf,
    seconds: Option<u64>,
}

fn run() -> anyhow::Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [mode, dir, engine, acks, rest @ ..] = args.as_slice() else {
        bail!("usage: churn write|verify DIR fjall|sled ACK_FILE [SECONDS]");
    };
    let engine: EngineKind = engine.parse()?;
    let seconds = rest.first().map(|text| text.parse()).transpose().context("SECONDS")?;
    // Small buffers, so that journals and tables turn over within a short run.
    let config = StoreConfig {
        engine,
        write_buffer_bytes: 1024 * 1024,
        log_cache_bytes: 64 * 1024,
        ..StoreConfig::new(dir)
    };
    let args = Args { config, acks: PathBuf::from(acks), seconds };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    match mode.as_str() {
        "write" => runtime.block_on(write(args)).map(|()| ExitCode::SUCCESS),
        "verify" => runtime.block_on(verify(args)),
        other => bail!("unknown mode {other:?}"),
    }
}

/// Whole lines only, one system call each: a kill leaves no half line, another process sees all.
#[derive(Clone)]
struct Acks(Arc<File>);

impl Acks {
    fn note(&self, kind: char, group: u16, number: u64) -> anyhow::Result<()> {
        let line = format!("{kind} {group} {number}\n");
        (&*self.0).write_all(line.as_bytes()).context("cannot note an acknowledgement")
    }
}

async fn write(args: Args) -> anyhow::Result<()> {
    let store = Store::open(&args.config)?;
    let file = File::options().create(true).append(true).open(&args.acks)?;
    let acks = Acks(Arc::new(file));
    let deadline = args.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..GROUPS {
        let group = store.open_group(GroupId(number), Arc::new(Last))?;
        tasks.spawn(churn(number, group, acks.clone(), deadline));
    }
    let mut failed = store.failed();
    loop {
        tokio::select! {
            done = tasks.join_next() => match done {
                Some(result) => result??,
                None => return Ok(()),
            },
            _ = failed.changed() => {
                let reason = failed.borrow().clone();
                bail!("storage failed: {}", reason.unwrap_or_default());
            }
        }
    }
}

async fn churn(
    number: u16,
    mut group: GroupStore,
    acks: Acks,
    deadline: Option<Instant>,
) -> anyhow::Result<()> {
    // What openraft does when it starts: replays, and brings log and state together.
    let mut helper = StorageHelper::new(&mut group.log, &mut group.machine).with_id(1);
    drop(helper.get_initial_state().await?);
    let mut term = group.log.last().map_or(0, |last| last.committed_leader_id().term) + 1;
    let mut next = group.log.last().map_or(0, |last| last.index() + 1);
    let mut random = Random(u64::from(number) + next * 31 + 7);
    while deadline.is_none_or(|deadline| Instant::now() < deadline) {
        if random.below(200) == 0 {
            term += 1;
            group.log.save_vote(&Vote::new_committed(term, 1)).await?;
            acks.note('v', number, term)?;
        }
        let count = 1 + random.below(8);
        let entries: Vec<Entry> = (next..next + count).map(|at| entry(number, term, at)).collect();
        append(&mut group, entries.clone()).await?;
        next += count;
        acks.note('a', number, next - 1)?;
        let items = entries.into_iter().map(|entry| Ok((entry, None)));
        group.machine.apply(futures_util::stream::iter(items)).await?;
        group.log.save_committed(Some(log_id(term, next - 1))).await?;
        purge(number, &mut group, &acks, next).await?;
    }
    Ok(())
}

async fn append(group: &mut GroupStore, entries: Vec<Entry>) -> anyhow::Result<()> {
    let (sender, receiver) = TypeConfig::oneshot();
    group.log.append(entries, IOFlushed::signal(sender)).await?;
    Ok(receiver.await.context("nobody answered")??)
}

async fn purge(number: u16, group: &mut GroupStore, acks: &Acks, next: u64) -> anyhow::Result<()> {
    let purged = group.log.purged().map_or(0, |purged| purged.index());
    if next < purged + KEEP + PURGE_EVERY {
        return Ok(());
    }
    let upto = next - KEEP;
    let mut reader = group.log.get_log_reader().await;
    let entries = reader.try_get_log_entries(upto..=upto).await?;
    let log_id = entries.first().context("the entry to purge up to is missing")?.log_id;
    acks.note('p', number, upto)?;
    Ok(group.log.purge(log_id).await?)
}

fn log_id(term: u64, index: u64) -> LogId {
    let id = raft::LogId { term, node_id: 1, index };
    wire::log_id_from_proto(&id).expect("every log id can be converted")
}

fn entry(group: u16, term: u64, index: u64) -> Entry {
    let payload = EntryPayload::Normal(Payload(content(group, index)));
    Entry { log_id: log_id(term, index), payload }
}

/// What an entry carries follows from where it stands, so that it can be checked.
fn content(group: u16, index: u64) -> Bytes {
    let mut random = Random((u64::from(group) << 48) ^ index ^ 0x9e37_79b9);
    let length = match random.below(64) {
        0 => 16 * 1024 + random.below(48 * 1024),
        _ => 100 + random.below(500),
    };
    (0..length).map(|_| random.below(256).to_le_bytes()[0]).collect()
}

/// xorshift64*: enough to vary sizes, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
    }
}

#[derive(Default)]
struct Expected {
    acknowledged: Option<u64>,
    purge_begun: Option<u64>,
    term: u64,
}

fn expected(acks: &PathBuf) -> anyhow::Result<BTreeMap<u16, Expected>> {
    let text = std::fs::read_to_string(acks).context("cannot read the acknowledgements")?;
    let mut groups: BTreeMap<u16, Expected> = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [kind, group, number] = fields[..] else { bail!("unreadable line {line:?}") };
        let expected = groups.entry(group.parse()?).or_default();
        let number = number.parse()?;
        match kind {
            "a" => expected.acknowledged = expected.acknowledged.max(Some(number)),
            "p" => expected.purge_begun = expected.purge_begun.max(Some(number)),
            "v" => expected.term = expected.term.max(number),
            other => bail!("unknown kind {other:?}"),
        }
    }
    Ok(groups)
}

async fn verify(args: Args) -> anyhow::Result<ExitCode> {
    let groups = expected(&args.acks)?;
    let store = match Store::open(&args.config) {
        Ok(store) => store,
        Err(error) => {
            println!("churn: cannot open: {}", error.chain());
            return Ok(ExitCode::from(2));
        }
    };
    let mut checked = 0;
    for (number, expected) in groups {
        let mut group = match store.open_group(GroupId(number), Arc::new(Last)) {
            Ok(group) => group,
            Err(error) => {
                println!("churn: cannot open group {number}: {}", error.chain());
                return Ok(ExitCode::from(2));
            }
        };
        checked += verify_group(number, &mut group, &expected).await?;
    }
    println!("churn: {checked} acknowledged entries are there");
    Ok(ExitCode::SUCCESS)
}

async fn verify_group(
    number: u16,
    group: &mut GroupStore,
    expected: &Expected,
) -> anyhow::Result<u64> {
    let purged = group.log.purged().map(|purged| purged.index());
    let applied = group.machine.applied().map(|applied| applied.index());
    // After a power loss the state may be newer than the log, which is then replaced by it.
    ensure!(
        purged <= expected.purge_begun,
        "group {number}: purged up to {purged:?}, begun was {:?}",
        expected.purge_begun
    );
    ensure!(applied >= purged, "group {number}: state at {applied:?}, purged up to {purged:?}");
    let mut reader = group.log.get_log_reader().await;
    let vote = reader.read_vote().await?.map_or(0, |vote| vote.leader_id().term);
    ensure!(vote >= expected.term, "group {number}: vote {vote} instead of {}", expected.term);
    let Some(acknowledged) = expected.acknowledged else { return Ok(0) };
    let from = purged.map_or(0, |purged| purged + 1);
    let mut next = from;
    while next <= acknowledged {
        let entries = reader.limited_get_log_entries(next, acknowledged + 1).await?;
        ensure!(!entries.is_empty(), "group {number}: entry {next} of {acknowledged} is lost");
        for entry in entries {
            ensure!(entry.log_id.index() == next, "group {number}: entry {next} is lost");
            let EntryPayload::Normal(payload) = &entry.payload else {
                bail!("group {number}: entry {next} is another one");
            };
            ensure!(payload.0 == content(number, next), "group {number}: entry {next} differs");
            next += 1;
        }
    }
    Ok(next - from)
}
